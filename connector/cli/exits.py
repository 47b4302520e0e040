"""Exit codes: a script can tell a refusal from a peer that does not answer."""

from __future__ import annotations

from enum import IntEnum

from connector import errors


class Exit(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    INTERRUPTED = 130


MEANING = {
    Exit.OK: "done",
    Exit.FAILED: "not done: the object does not exist, is in the wrong state, or a check found something",
    Exit.USAGE: "wrong usage, or a configuration, policy or catalogue file is wrong",
    Exit.REFUSED: "refused: a policy or the other side says no",
    Exit.UNREACHABLE: "nobody answered in time: the own connector, the peer or its data",
    Exit.INTERRUPTED: "interrupted",
}

# The first row that fits counts, so a class stands before its base.
_CODES: tuple[tuple[type[errors.ConnectorError], Exit], ...] = (
    (errors.Denied, Exit.REFUSED),
    (errors.Forbidden, Exit.REFUSED),
    (errors.Unauthorized, Exit.REFUSED),
    (errors.Unavailable, Exit.UNREACHABLE),
    (errors.OperatorError, Exit.USAGE),
    (errors.Malformed, Exit.USAGE),
)


def exit_code(error: errors.ConnectorError) -> Exit:
    """Return the exit code that stands for `error`."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.FAILED)


# \b keeps the help formatter from folding the lines of a paragraph into one.
EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:<4}{meaning}" for code, meaning in MEANING.items())
