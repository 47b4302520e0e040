"""What the conformance kit expects of each dataset and agreement, as data; the kit's ids are in `tck/dsp/sample.properties`.

A script is the moves of one negotiation or transfer: in this state, do that, as an operator would (`approve` agrees,
accepts, verifies or finalizes, whichever the state asks for; `resume` starts). Each move is made once and in its order; a
process without a move left does nothing, and the kit moves it.
"""

from __future__ import annotations

from typing import TypeAlias

from connector.dsp.negotiation import State as N
from connector.dsp.transfer import State as T

Moves: TypeAlias = tuple[tuple[str, str], ...]

AGREEING: Moves = ((N.REQUESTED, "approve"), (N.VERIFIED, "approve"))
OFFERING: Moves = ((N.REQUESTED, "counter"),)
ACCEPTING: Moves = ((N.OFFERED, "approve"),)

NEGOTIATIONS: dict[str, Moves] = {
    # we are the provider: CN
    "ACN0101": OFFERING,
    "ACN0102": (*OFFERING, (N.REQUESTED, "terminate")),
    "ACN0103": (*OFFERING, (N.ACCEPTED, "approve"), (N.VERIFIED, "approve")),
    "ACN0104": AGREEING,
    "ACN0201": ((N.REQUESTED, "terminate"),),
    "ACN0202": (),
    "ACN0203": AGREEING[:1],
    "ACN0204": OFFERING,
    "ACN0205": (*OFFERING, (N.OFFERED, "terminate")),
    "ACN0206": (*OFFERING, (N.ACCEPTED, "terminate")),
    "ACN0207": ((N.REQUESTED, "approve"), (N.VERIFIED, "terminate")),
    "ACN0301": AGREEING,
    "ACN0302": OFFERING,
    "ACN0303": OFFERING,
    "ACN0304": OFFERING,
    # we are the consumer: CN_C
    "ACNC0101": (*ACCEPTING, (N.AGREED, "approve")),
    "ACNC0102": ((N.OFFERED, "counter"),),
    "ACNC0103": ((N.OFFERED, "terminate"),),
    "ACNC0104": ((N.AGREED, "approve"),),
    "ACNC0201": (),
    "ACNC0202": ((N.REQUESTED, "terminate"),),
    "ACNC0203": ((N.AGREED, "terminate"),),
    "ACNC0204": (),
    "ACNC0205": ACCEPTING,
    "ACNC0206": ((N.AGREED, "approve"),),
    "ACNC0301": (),
    "ACNC0302": (),
    "ACNC0303": (),
    "ACNC0304": ACCEPTING,
    "ACNC0305": ACCEPTING,
    "ACNC0306": ACCEPTING,
}

STARTING: Moves = ((T.REQUESTED, "resume"),)
PAUSING: Moves = ((T.STARTED, "suspend"),)
FINISHING: Moves = ((T.SUSPENDED, "resume"), (T.STARTED, "complete"))

TRANSFERS: dict[str, Moves] = {
    # we are the provider: TP
    "ATP0101": (*STARTING, (T.STARTED, "terminate")),
    "ATP0102": (*STARTING, (T.STARTED, "complete")),
    "ATP0103": (*STARTING, *PAUSING, (T.SUSPENDED, "terminate")),
    "ATP0104": (*STARTING, *PAUSING, *FINISHING),
    "ATP0105": ((T.REQUESTED, "terminate"),),
    "ATP0201": STARTING,
    "ATP0202": STARTING,
    "ATP0203": STARTING,
    "ATP0204": STARTING,
    "ATP0205": (),
    "ATP0301": (),
    "ATP0302": (),
    "ATP0303": STARTING,
    "ATP0304": STARTING,
    "ATP0305": STARTING,
    "ATP0306": STARTING,
    # we are the consumer: TP_C
    "ATPC0101": (),
    "ATPC0102": (),
    "ATPC0103": (),
    "ATPC0104": (),
    "ATPC0105": (),
    "ATPC0201": ((T.STARTED, "terminate"),),
    "ATPC0202": ((T.STARTED, "complete"),),
    "ATPC0203": (*PAUSING, (T.SUSPENDED, "terminate")),
    "ATPC0204": (*PAUSING, *FINISHING),
    "ATPC0205": ((T.REQUESTED, "terminate"),),
    "ATPC0301": (),
    "ATPC0302": (),
    "ATPC0303": (),
    "ATPC0304": (),
    "ATPC0305": (),
    "ATPC0306": (),
}
DATASETS = ("CAT0101", "CAT0102", *(name for name in NEGOTIATIONS if not name.startswith("ACNC")))
