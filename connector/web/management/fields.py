"""Typed reading of a node: each getter notes what is wrong, `check` raises it all at once, and what nobody asked for
is reported to the caller instead of vanishing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from connector.odrl.model import Json
from connector.web.management.errors import ValidationFailure, Violation
from connector.web.management.jsonld import Node, iri


class Fields:
    """The fields of one object of a request. `path` is its place in EDC's spelling."""

    def __init__(self, node: Mapping[str, Json], path: str = "", violations: list[Violation] | None = None) -> None:
        self.node = node
        self.path = path
        self._violations = [] if violations is None else violations
        self._asked = {"@type"}
        self._children: list[Fields] = []

    # --- what is wrong -----------------------------------------------------------------------------------------------

    def at(self, name: str) -> str:
        return f"{self.path}/{iri(name)}" if self.path else iri(name)

    def wrong(self, name: str, message: str, value: Json = None) -> None:
        self._violations.append(Violation(message, self.at(name), value))

    def check(self) -> None:
        """Raises ValidationFailure with every violation noted so far, here and in nested objects."""
        if self._violations:
            raise ValidationFailure(self._violations)

    def unread(self) -> Iterator[str]:
        """Yield the paths of fields that nobody asked for."""
        for name in self.node:
            if name not in self._asked:
                yield self.at(name)
        for child in self._children:
            yield from child.unread()

    # --- getters -----------------------------------------------------------------------------------------------------

    def raw(self, name: str) -> Json:
        """Return the value as given, an array of one element and an `{"@id"}` opened."""
        self._asked.add(name)
        value = self.node.get(name)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        return value["@id"] if isinstance(value, dict) and set(value) == {"@id"} else value

    def text(self, name: str) -> str | None:
        value = self.raw(name)
        if value is None or isinstance(value, str):
            return value
        self.wrong(name, f"value '{self.at(name)}' must be text", value)
        return None

    def mandatory(self, name: str) -> str:
        """Return a text that must be there. The answer is "" when a violation was noted."""
        value = self.text(name)
        if value is not None and value.strip():
            return value
        if value is not None or self.node.get(name) is None:
            self.wrong(name, f"mandatory value '{self.at(name)}' is missing or it is blank", value)
        return ""

    def identifier(self, name: str = "@id") -> str | None:
        """Return an optional id; one that is given must not be blank."""
        value = self.text(name)
        if value is not None and not value.strip():
            self.wrong(name, f"optional value '{self.at(name)}' is blank", value)
        return value

    def integer(self, name: str, default: int, least: int, words: str) -> int:
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            self.wrong(name, f"optional value '{self.at(name)}' must be an integer", value)
        elif value >= 2**63:
            self.wrong(name, f"optional value '{self.at(name)}' must be less than 2^63", value)
        elif value < least:
            self.wrong(name, f"optional value '{self.at(name)}' must be {words}", value)
        else:
            return value
        return default

    def object(self, name: str, *, mandatory: bool = False) -> Fields | None:
        """Return a nested object, given alone or in an array of one."""
        self._asked.add(name)
        value = self.node.get(name)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, Mapping):
            return self._child(value, name)
        if value is not None:
            self.wrong(name, f"value '{self.at(name)}' must be an object", value)
        elif mandatory:
            self.wrong(name, f"mandatory object '{self.at(name)}' is missing")
        return None

    def objects(self, name: str) -> list[Fields]:
        """Return nested objects, given as an array or one alone."""
        self._asked.add(name)
        value = self.node.get(name)
        if value is None:
            return []
        found = []
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping):
                found.append(self._child(item, name))
            else:
                self.wrong(name, f"each value of '{self.at(name)}' must be an object", item)
        return found

    def rest(self) -> Node:
        """Return all fields but `@id`, `@type` and those asked for already; they count as asked for from now on."""
        rest = {name: value for name, value in self.node.items() if name not in self._asked and name != "@id"}
        self._asked.update(rest)
        return rest

    def whole(self) -> Node:
        """Return the object as it is, all of it asked for."""
        self._asked.update(self.node)
        return dict(self.node)

    def _child(self, value: Mapping[str, Json], name: str) -> Fields:
        child = Fields(value, self.at(name), self._violations)
        self._children.append(child)
        return child
