"""Every error that is raised on purpose, in one tree.

Each class has a stable `code`; `web.errors` maps classes to HTTP statuses, `cli` to exit codes. The text of an
error is shown to whoever can act on it and says what to do; it never holds a token, a key or a patient's data.
"""

from __future__ import annotations

from dataclasses import dataclass


class ConnectorError(Exception):
    """Something went wrong that a person or a peer can act on."""

    code = "error"


class PeerError(ConnectorError):
    """The caller's fault: answered to the caller."""

    code = "peer-error"


class Malformed(PeerError):
    """The message cannot be read; the text names the field."""

    code = "malformed"


class TooLarge(PeerError):
    """The body is larger, deeper or slower than this connector takes."""

    code = "too-large"


class UnsupportedMedia(PeerError):
    """The body is not in a media type this endpoint takes."""

    code = "unsupported-media-type"


class Unauthorized(PeerError):
    """No token, or one that proves nothing."""

    code = "unauthorized"


class Forbidden(PeerError):
    """A known caller without the right; the reason is coarse on purpose."""

    code = "forbidden"


class NotFound(PeerError):
    """No such object, or not this caller's (DSP-064: both look the same)."""

    code = "not-found"


class IllegalTransition(PeerError):
    """The protocol has no such step from the present state; nothing has changed."""

    code = "illegal-transition"


class Conflict(PeerError):
    """The object exists already, is in use, or is busy."""

    code = "conflict"


class NotTaken(PeerError):
    """The place that the peer named for its data cannot be used, or refuses the data; trying again will not help."""

    code = "not-taken"


class Denied(PeerError):
    """The policy says no."""

    code = "denied"


class OperatorError(ConnectorError):
    """A configuration, policy or catalogue file is wrong, or a command cannot be carried out."""

    code = "operator-error"


class Unavailable(ConnectorError):
    """Try later: a peer, a data source or a part of this connector does not answer."""

    code = "unavailable"


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding in a file or document, in the form `file:line:column: level CODE message`."""

    code: str
    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    path: str = ""
    level: str = "error"

    def __str__(self) -> str:
        where = self.file or "document"
        if self.line is not None:
            where += f":{self.line}:{self.column or 1}"
        elif self.path:
            where += f" {self.path}"
        return f"{where}: {self.level} {self.code} {self.message}"


class InvalidFiles(OperatorError):
    """Files that cannot be put in force, with every problem found."""

    code = "invalid-files"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
