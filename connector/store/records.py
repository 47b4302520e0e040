"""Records to JSON text and back, typed and exact: `decode(type, encode(record)) == record`.

msgspec writes; cattrs reads, because it alone understands a union of plain dataclasses (a policy's constraints). A field
that an older row lacks takes its default, one that a newer row adds is ignored, so that a new field needs no migration.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, get_args

import msgspec
from cattrs.preconf.msgspec import make_converter

from connector.dsp import messages
from connector.dsp.messages import Kind, Message
from connector.errors import Malformed, OperatorError
from connector.odrl.model import AnyConstraint, Constraint, LogicalConstraint

R = TypeVar("R")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MESSAGES: dict[Kind, type[Message]] = {cls.kind: cls for cls in get_args(messages.Message)}

_converter = make_converter(detailed_validation=False)


def _is_json(annotation: object) -> bool:
    """Whether `annotation` is the recursive alias `Json`, at whatever depth the type checker's forward reference stands."""
    return {bool, int, float, str} <= set(get_args(annotation))


def _read_constraint(value: Any, _: object) -> AnyConstraint:
    if "parts" in value:
        return _converter.structure(value, LogicalConstraint)
    return _converter.structure(value, Constraint)


_converter.register_structure_hook_func(_is_json, lambda value, _: value)
_converter.register_structure_hook(Constraint | LogicalConstraint, _read_constraint)


def encode(value: object) -> str:
    """Return `value`, a record or a part of one, as JSON text.

    Raises:
        Malformed: it holds what is not text, such as half of a surrogate pair.
    """
    try:
        return msgspec.json.encode(value).decode()
    except (UnicodeEncodeError, RecursionError, TypeError) as error:
        raise Malformed(f"this cannot be stored as JSON: {error}") from error


def decoder(kind: type[R]) -> Callable[[str], R]:
    """Return the function that reads JSON text as a `kind`.

    It raises OperatorError for a row that is damaged or that a version of the connector wrote which knew more.
    """
    structure = _converter.get_structure_hook(kind)

    def decode(text: str) -> R:
        try:
            record: R = structure(msgspec.json.decode(text), kind)
        except (msgspec.MsgspecError, ValueError, TypeError, LookupError) as error:
            raise OperatorError(
                f"a stored {kind.__name__} cannot be read ({error}). Start the version of the connector that wrote it, or "
                "restore the database from a backup."
            ) from error
        return record

    return decode


def to_micros(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
