"""Which answer a conditional or range request gets: the cases of RFC 9110, sections 13 and 14."""

from datetime import UTC, datetime

import pytest

from connector.dataplane.conditions import Outcome, Version, outcome

VERSION = Version(10_000, '"xyzzy"', datetime(1994, 10, 29, 19, 43, 31, tzinfo=UTC))
WHOLE = Outcome(200, 0, 10_000)
THEN, BEFORE, AFTER = (f"Sat, {day} Oct 1994 19:43:31 GMT" for day in (29, 28, 30))


@pytest.mark.parametrize(
    "written, expected",
    [
        # RFC 9110, 14.1.2: "additional examples, assuming a representation of length 10000"
        ("bytes=0-499", Outcome(206, 0, 500)),
        ("bytes=500-999", Outcome(206, 500, 500)),
        ("bytes=-500", Outcome(206, 9_500, 500)),
        ("bytes=9500-", Outcome(206, 9_500, 500)),
        ("bytes=0-0", Outcome(206, 0, 1)),
        ("bytes=-1", Outcome(206, 9_999, 1)),
        ("Bytes=0-499", Outcome(206, 0, 500)),  # 14.1: range units are case-insensitive
        ("bytes=0-99999", Outcome(206, 0, 10_000)),  # last-pos beyond the end: the remainder
        ("bytes=-99999", Outcome(206, 0, 10_000)),  # suffix longer than the whole: the whole
        ("bytes=10000-", Outcome(416)),  # first-pos at the end: not satisfiable
        ("bytes=-0", Outcome(416)),
        ("bytes=0-0,-1", WHOLE),  # several ranges: our choice is the whole
        ("bytes=500-600,601-999", WHOLE),
        ("bytes=5-4", WHOLE),  # invalid: ignored
        ("bytes=-", WHOLE),
        ("bytes=a-b", WHOLE),
        ("bytes=0x1-2", WHOLE),
        ("bytes=\u0661-\u0662", WHOLE),  # digits, but not ASCII
        ("bytes=0-" + "9" * 100, WHOLE),
        ("lines=0-1", WHOLE),  # an unknown unit: ignored
        ("", WHOLE),
    ],
)
def test_a_range_is_answered_as_rfc_9110_14_says(written: str, expected: Outcome) -> None:
    assert outcome({"range": written}, VERSION) == expected


def test_a_range_of_nothing_cannot_be_satisfied() -> None:
    empty = Version(0, '"0"', VERSION.modified)
    assert outcome({"range": "bytes=0-"}, empty) == outcome({"range": "bytes=-5"}, empty) == Outcome(416)
    assert outcome({}, empty) == Outcome(200)


def test_a_range_on_head_is_ignored() -> None:
    assert outcome({"range": "bytes=0-1"}, VERSION, "HEAD") == WHOLE


@pytest.mark.parametrize(
    "condition, resumes",
    [
        ('"xyzzy"', True),
        ('"other"', False),
        ('W/"xyzzy"', False),  # 13.1.5: strong comparison
        (THEN, True),
        (BEFORE, False),
        (AFTER, False),  # an exact match, not "later"
        ("nonsense", False),
    ],
)
def test_if_range_resumes_only_what_has_not_changed(condition: str, resumes: bool) -> None:
    expected = Outcome(206, 0, 500) if resumes else WHOLE
    assert outcome({"range": "bytes=0-499", "if-range": condition}, VERSION) == expected


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"if-none-match": '"xyzzy"'}, 304),
        ({"if-none-match": 'W/"xyzzy"'}, 304),  # 13.1.2: weak comparison
        ({"if-none-match": '"r2d2xxxx", "xyzzy", "c3piozzzz"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"other"'}, 200),
        ({"if-none-match": '"other"', "if-modified-since": AFTER}, 200),  # 13.2.2: the tag counts, the date is ignored
        ({"if-modified-since": THEN}, 304),
        ({"if-modified-since": BEFORE}, 200),
        ({"if-modified-since": "nonsense"}, 200),
        ({"if-match": '"xyzzy"'}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": '"other"'}, 412),
        ({"if-match": 'W/"xyzzy"'}, 412),  # 13.1.1: strong comparison
        ({"if-unmodified-since": BEFORE}, 412),
        ({"if-unmodified-since": THEN}, 200),
        ({"if-match": '"xyzzy"', "if-unmodified-since": BEFORE}, 200),  # 13.2.2: the tag counts
        ({"if-match": '"other"', "if-none-match": '"xyzzy"'}, 412),  # 13.2.2: in this order
        ({"if-none-match": '"xyzzy"', "range": "bytes=0-1"}, 304),
    ],
)
def test_conditions_are_weighed_in_the_order_of_rfc_9110_13(headers: dict[str, str], status: int) -> None:
    assert outcome(headers, VERSION).status == status
