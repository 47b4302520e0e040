"""Errors of the management API in EDC's form: always an array of `{message, type, path, invalidValue}`.

One table maps the classes of `connector.errors` to statuses and types. What the peer did wrong during a request of ours
is a 502 with the cause, never a 4xx: a peer's 401 must not look like ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from connector import errors
from connector.odrl.model import Json


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong with a request; `path` is made of full IRIs joined by `/`, as EDC writes it."""

    message: str
    path: str
    invalid_value: Json = None


class ValidationFailure(errors.Malformed):
    """The body lacks something or has it in the wrong form; holds every violation found."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(violation.message for violation in violations))
        self.violations = tuple(violations)


class BadGateway(errors.Unavailable):
    """The peer failed, refused or did not answer; the answer's `cause` is the code of the error that says which."""

    def __init__(self, error: errors.ConnectorError) -> None:
        super().__init__(str(error))
        self.cause = error.code


# the first row whose class fits, so subclasses come before their parents
STATUSES: tuple[tuple[type[errors.ConnectorError], int, str], ...] = (
    (ValidationFailure, 400, "ValidationFailure"),
    (errors.Malformed, 400, "InvalidRequest"),
    (errors.TooLarge, 413, "RequestTooLarge"),
    (errors.UnsupportedMedia, 415, "UnsupportedMediaType"),
    (errors.Unauthorized, 401, "AuthenticationFailed"),
    (errors.Forbidden, 403, "NotAuthorized"),
    (errors.NotFound, 404, "ObjectNotFound"),
    (errors.IllegalTransition, 409, "ObjectConflict"),
    (errors.Conflict, 409, "ObjectConflict"),
    (errors.Denied, 403, "NotAuthorized"),
    (errors.OperatorError, 400, "InvalidRequest"),
    (BadGateway, 502, "BadGateway"),
    (errors.Unavailable, 503, "ServiceUnavailable"),
    (errors.ConnectorError, 400, "InvalidRequest"),
)


def status_of(error: errors.ConnectorError) -> tuple[int, str]:
    """Return the HTTP status and EDC's error type."""
    return next((status, kind) for cls, status, kind in STATUSES if isinstance(error, cls))


def body_of(error: errors.ConnectorError) -> list[dict[str, Json]]:
    _, kind = status_of(error)
    if isinstance(error, ValidationFailure):
        return [detail(v.message, kind, v.path, v.invalid_value) for v in error.violations]
    if isinstance(error, errors.InvalidFiles):
        return [detail(str(problem), kind) for problem in error.problems]
    if isinstance(error, BadGateway):
        return [detail(str(error), kind) | {"cause": error.cause}]
    return [detail(str(error), kind)]


def detail(message: str, kind: str, path: str | None = None, value: Json = None) -> dict[str, Json]:
    shown = value if value is None or isinstance(value, str) else orjson.dumps(value).decode()  # documented as a text
    return {"message": message, "type": kind, "path": path, "invalidValue": shown}
