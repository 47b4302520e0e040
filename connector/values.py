"""What a value of the settings means: TOML's and a variable's text, as the type of the field it is for.

The text of every ValueError here completes a sentence that begins with the key.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, fields, is_dataclass
from datetime import timedelta
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

ISO = re.compile(r"P(?:(?P<d>\d+)D)?(?:T(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?")
SHORT = re.compile(r"(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?(?:(?P<ms>\d+)ms)?")
UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}


def duration(text: str) -> timedelta:
    """Return the length of `30s`, `1h30m`, `500ms`, `PT10M` or `P1D`. Raises ValueError."""
    match = (ISO if text.startswith("P") else SHORT).fullmatch(text)
    parts = {UNITS[unit]: float(count) for unit, count in match.groupdict().items() if count} if match else {}
    if not parts:
        raise ValueError(f'is {text!r}; write a duration such as "30s", "10m" or "PT10M"')
    return timedelta(**parts)


def convert(kind: Any, value: object) -> object:
    """Return `value` as `kind`; the text of the ValueError completes a sentence that begins with the key."""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return convert(next(part for part in get_args(kind) if part is not NoneType), value)
    if origin is Literal:
        if value not in get_args(kind):
            raise ValueError(f"is {value!r}; write one of {', '.join(map(repr, get_args(kind)))}")
        return value
    if is_dataclass(kind):
        return _table(kind, value)
    if origin is tuple and is_dataclass(get_args(kind)[0]):
        if not isinstance(value, list):
            raise ValueError("is written as [[tables]], with two brackets")
        return tuple(_table(get_args(kind)[0], part) for part in value)
    if origin is tuple:
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            raise ValueError(f'is {value!r}; write a list of strings such as ["a", "b"]')
        return tuple(value)
    if kind is timedelta:
        return _positive(duration(value)) if isinstance(value, str) else _wrong(value, 'a duration such as "30s"')
    return _plain(kind, value)


def _table(kind: Any, value: object) -> object:
    """Return the dataclass that a table of its own says: texts, and lists of texts."""
    names = get_type_hints(kind)
    needed = {one.name for one in fields(kind) if one.default is MISSING}
    if not isinstance(value, dict) or not needed <= value.keys() <= names.keys():
        raise ValueError(f"is a table with {', '.join(names)}")
    for name, given in value.items():
        if names[name] is str and not (isinstance(given, str) and given.strip()):
            raise ValueError(f"is a table with {', '.join(names)}, and its {name} a text in quotes")
    return kind(**{name: convert(names[name], given) for name, given in value.items()})


def _plain(kind: Any, value: object) -> object:
    if kind is int and (isinstance(value, bool) or not isinstance(value, int)):
        return _wrong(value, "a whole number without quotes")
    if kind is bool and not isinstance(value, bool):
        return _wrong(value, "true or false without quotes")
    if kind is str and (not isinstance(value, str) or not value.strip()):
        return _wrong(value, "text in quotes")
    return value


def _positive(length: timedelta) -> timedelta:
    if length <= timedelta():
        raise ValueError("is no time at all; write a duration above zero")
    return length


def _wrong(value: object, instead: str) -> object:
    raise ValueError(f"is {value!r}; write {instead}")


def from_text(kind: Any, text: str) -> object:
    """Return what TOML would have given for the text of a variable; what does not fit stays text and is refused later."""
    if get_origin(kind) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    if kind is int and re.fullmatch(r"\d{1,12}", text):
        return int(text)
    return text
