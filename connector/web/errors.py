"""One table from error class to HTTP status; bodies are rendered by the surface that answers."""

from __future__ import annotations

from connector.errors import (
    Conflict,
    ConnectorError,
    Denied,
    Forbidden,
    IllegalTransition,
    InvalidFiles,
    Malformed,
    NotFound,
    OperatorError,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnsupportedMedia,
)

STATUS: dict[type[ConnectorError], int] = {
    Malformed: 400,
    IllegalTransition: 400,
    InvalidFiles: 400,
    OperatorError: 400,
    Unauthorized: 401,
    Forbidden: 403,
    Denied: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    UnsupportedMedia: 415,
    Unavailable: 503,
}


def status_of(error: ConnectorError) -> int:
    """Return the HTTP status of `error`: its class's, or that of the nearest ancestor in the table."""
    return next((STATUS[cls] for cls in type(error).__mro__ if cls in STATUS), 400)
