"""EDC's names and numbers for the states of processes.

A process has the standard's states only; a message that is committed and not yet answered shows as EDC's -ING state.
"""

from __future__ import annotations

from collections.abc import Mapping

from connector.dsp.messages import Kind
from connector.dsp.process import Process
from connector.dsp.transfer import State as TransferState

NEGOTIATION: Mapping[str, int] = {
    "INITIAL": 50,
    "REQUESTING": 100,
    "REQUESTED": 200,
    "OFFERING": 300,
    "OFFERED": 400,
    "ACCEPTING": 700,
    "ACCEPTED": 800,
    "AGREEING": 825,
    "AGREED": 850,
    "VERIFYING": 1050,
    "VERIFIED": 1100,
    "FINALIZING": 1150,
    "FINALIZED": 1200,
    "TERMINATING": 1300,
    "TERMINATED": 1400,
}
TRANSFER: Mapping[str, int] = {
    "INITIAL": 100,
    "PROVISIONING": 200,
    "REQUESTING": 400,
    "REQUESTED": 500,
    "STARTING": 550,
    "STARTUP_REQUESTED": 570,
    "STARTED": 600,
    "SUSPENDING": 650,
    "SUSPENDED": 700,
    "RESUMING": 720,
    "COMPLETING": 750,
    "COMPLETED": 800,
    "TERMINATING": 825,
    "TERMINATED": 850,
    "DEPROVISIONING": 900,
    "DEPROVISIONED": 1000,
}
SENDING: Mapping[Kind, str] = {
    Kind.REQUEST: "REQUESTING",
    Kind.OFFER: "OFFERING",
    Kind.ACCEPT: "ACCEPTING",
    Kind.AGREE: "AGREEING",
    Kind.VERIFY: "VERIFYING",
    Kind.FINALIZE: "FINALIZING",
    Kind.TRANSFER_REQUEST: "REQUESTING",
    Kind.START: "STARTING",
    Kind.SUSPEND: "SUSPENDING",
    Kind.COMPLETE: "COMPLETING",
}


def shown(process: Process) -> str:
    """Return the state under EDC's name. A termination is in force at once, so there is no TERMINATING."""
    if process.pending is Kind.START and process.current is TransferState.SUSPENDED:
        return "RESUMING"
    if process.pending is not None:
        return SENDING[process.pending]
    return process.current or "INITIAL"
