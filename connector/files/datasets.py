"""`catalog/*.jsonld`: a HealthDCAT-AP description of a dataset, where its data is, and the policies it is offered under.

    {"@id": "...", "@type": "Dataset", "title": ..., "healthdcatap:healthCategory": {"@id": "..."},
     "source": {"type": "file", "path": "trial.csv"} or {"type": "http", "url": "https://...", "proxyPath": true},
     "policies": ["research", {"policy": "members", "access": "partners", "@id": "https://.../offers/1"}]}

The description becomes the asset's properties by full IRI; `source` becomes its data address, in the words of EDC that the
data plane reads. Without `access` the policy itself says who sees the offer.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from urllib.parse import urlsplit

from connector.dsp.offering import EDC, Asset, ContractDefinition, Criterion
from connector.errors import Problem
from connector.files.documents import Document
from connector.files.vocabulary import DCAT, DCT, PREFIXES, UnknownWord, expand
from connector.odrl.model import Json
from connector.odrl.read import Path

OWN = ("@context", "@id", "@type", "source", "policies")
CONTEXTS = frozenset({"https://w3id.org/dspace/2025/1/context.jsonld"})
VALUE_KEYWORDS = frozenset({"@id", "@type", "@value", "@language", "@list"})
FILE_KEYS = ("type", "path", "mediaType")
HTTP_KEYS = ("type", "url", "methods", "proxyPath", "proxyQuery", "proxyBody", "headers", "auth", "mediaType")
SWITCHES = {"proxyPath": "proxyPath", "proxyQuery": "proxyQueryParams", "proxyBody": "proxyBody"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
OFFER_KEYS = ("policy", "access", "@id")


@dataclass(frozen=True, slots=True)
class Dataset:
    asset: Asset
    definitions: tuple[ContractDefinition, ...]
    document: Document


@dataclass(slots=True)
class DatasetReader:
    """Reads one document. `policies` maps each name to a policy definition's id; `broken` are names reported elsewhere."""

    document: Document
    policies: Mapping[str, str]
    broken: frozenset[str] = frozenset()
    problems: list[Problem] = field(default_factory=list)
    _prefixes: dict[str, str] = field(default_factory=lambda: dict(PREFIXES))
    _words: dict[str, str] = field(default_factory=dict)

    def read(self) -> Dataset | None:
        """Return the dataset as far as it can be read; what is wrong is in `problems`."""
        value = self.document.value
        if not isinstance(value, dict):
            self._wrong("dataset-shape", "is not a JSON object; write one dataset per file", ())
            return None
        self._context(value.get("@context"))
        id = self._id(value.get("@id"))
        self._type(value.get("@type"))
        properties = self._properties({key: part for key, part in value.items() if key not in OWN}, ())
        if not properties.get(DCT + "title"):
            self._wrong("dataset-title", 'has no title; write "title": ... so that people know what it is', (), "warning")
        address = self._source(value.get("source"))
        definitions = tuple(self._offers(id, value.get("policies")))
        asset = Asset(id, properties, data_address=address, origin=self.document.file)
        return Dataset(asset, definitions, self.document)

    # --- the description ---------------------------------------------------------------------------------------------

    def _context(self, context: Json) -> None:
        several = context if isinstance(context, list) else [context]
        for number, one in enumerate(several):
            at: Path = ("@context", number) if isinstance(context, list) else ("@context",)
            if isinstance(one, dict):
                self._prefixes_of(one, at)
            elif one is not None and not (isinstance(one, str) and one in CONTEXTS):
                self._wrong("dataset-context", f"{one!r} is not fetched; write prefixes with their IRIs instead", at)

    def _prefixes_of(self, context: Mapping[str, Json], at: Path) -> None:
        for name, iri in context.items():
            if name.startswith("@") or not isinstance(iri, str):
                self._wrong("dataset-context", f"{name}: only names with their IRIs are read", (*at, name))
            elif iri.endswith(("/", "#", ":", "=")):
                self._prefixes[name] = iri
            else:
                self._words[name] = self._expanded(iri, (*at, name), key=False)

    def _id(self, id: Json) -> str:
        if isinstance(id, str) and id and id.isprintable() and " " not in id:
            return id
        self._wrong(
            "dataset-id", 'needs an "@id", a text without spaces that never changes, such as "urn:uuid:..."', ("@id",)
        )
        return ""

    def _type(self, type: Json) -> None:
        names = type if isinstance(type, list) else [type]
        if not {"Dataset", "dcat:Dataset", DCAT + "Dataset"}.intersection(name for name in names if isinstance(name, str)):
            self._wrong("dataset-type", 'is not a dataset; write "@type": "Dataset"', ("@type",))

    def _properties(self, given: Mapping[str, Json], at: Path) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for name, value in given.items():
            if name in VALUE_KEYWORDS and at:
                found[name] = self._keyword(name, value, (*at, name))
            elif name.startswith("@"):
                self._wrong("dataset-word", f"{name} is not read here; remove it", (*at, name), key=True)
            elif (iri := self._expanded(name, (*at, name), key=True)) in found:
                self._wrong("dataset-twice", f"{name} says {iri} a second time", (*at, name), key=True)
            else:
                found[iri] = self._value(value, (*at, name))
        return found

    def _value(self, value: Json, at: Path) -> Json:
        if isinstance(value, dict):
            return self._properties(value, at)
        if isinstance(value, list):
            return [self._value(part, (*at, number)) for number, part in enumerate(value)]
        return value

    def _keyword(self, name: str, value: Json, at: Path) -> Json:
        if name == "@list":
            return self._value(value, at)
        if name in ("@id", "@type"):
            several = value if isinstance(value, list) else [value]
            iris: list[Json] = [self._expanded(one, at, key=False) if isinstance(one, str) else one for one in several]
            return iris if isinstance(value, list) else iris[0]
        return value

    def _expanded(self, word: str, at: Path, *, key: bool) -> str:
        if word in self._words:
            return self._words[word]
        try:
            return expand(word, self._prefixes)
        except UnknownWord as error:
            self._wrong("dataset-word", str(error), at, key=key)
            return word

    # --- where the data is -------------------------------------------------------------------------------------------

    def _source(self, source: Json) -> dict[str, str]:
        if not isinstance(source, dict):
            self._wrong(
                "source-missing",
                'needs a "source": {"type": "file", "path": ...} or {"type": "http", "url": ...}',
                ("source",),
            )
            return {}
        match source.get("type"):
            case "file":
                self._known(source, FILE_KEYS, ("source",))
                return {"type": "File", **self._file(source)}
            case "http":
                self._known(source, HTTP_KEYS, ("source",))
                return {"type": "HttpData", **self._http(source)}
        self._wrong(
            "source-type", f'{source.get("type")!r} is no type of source; write "file" or "http"', ("source", "type")
        )
        return {}

    def _file(self, source: Mapping[str, Json]) -> dict[str, str]:
        path = self._text(source, "path", ("source",), required=True)
        found = FilePath(self.document.file).parent / path
        try:
            found = found.resolve()
            there = found.is_file()
        except (OSError, ValueError, RuntimeError):  # no name for a file, or a link to itself
            there = False
        if path and not there:
            self._wrong(
                "source-file", f"there is no file {found}; a relative path begins at this folder", ("source", "path")
            )
        return {"path": str(found), **self._media_type(source)}

    def _http(self, source: Mapping[str, Json]) -> dict[str, str]:
        address = {"baseUrl": self._url(self._text(source, "url", ("source",), required=True)), **self._media_type(source)}
        for name, edc in SWITCHES.items():
            if isinstance(on := source.get(name, False), bool):
                address |= {edc: "true"} if on else {}
            else:
                self._wrong("source-value", f"{name} is true or false, without quotes", ("source", name))
        return address | self._methods(source) | self._headers(source) | self._auth(source)

    def _url(self, url: str) -> str:
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and parts.hostname and not parts.username
        except ValueError:
            good = False
        if url and not good:
            self._wrong("source-url", "is not an http:// or https:// address without a user name", ("source", "url"))
        return url

    def _methods(self, source: Mapping[str, Json]) -> dict[str, str]:
        methods = source.get("methods")
        if methods is None:
            return {}
        if isinstance(methods, list) and methods and all(method in METHODS for method in methods):
            return {"proxyMethod": "true", "methods": ",".join(str(method) for method in methods)}
        self._wrong("source-value", f"methods is a list of some of {', '.join(METHODS)}", ("source", "methods"))
        return {}

    def _headers(self, source: Mapping[str, Json]) -> dict[str, str]:
        headers = source.get("headers", {})
        if isinstance(headers, dict) and all(isinstance(value, str) for value in headers.values()):
            return {f"header:{name}": str(value) for name, value in headers.items()}
        self._wrong("source-value", "headers is an object of header names and texts", ("source", "headers"))
        return {}

    def _auth(self, source: Mapping[str, Json]) -> dict[str, str]:
        auth = source.get("auth")
        if auth is None:
            return {}
        if isinstance(auth, dict) and auth.keys() == {"header", "secret"}:
            at: Path = ("source", "auth")
            header, secret = (self._text(auth, name, at, required=True) for name in ("header", "secret"))
            return {"authKey": header, "secretName": secret}
        message = (
            'auth is {"header": "Authorization", "secret": NAME}: the name under which the management API keeps the secret'
        )
        self._wrong("source-auth", message, ("source", "auth"))
        return {}

    def _media_type(self, source: Mapping[str, Json]) -> dict[str, str]:
        media_type = self._text(source, "mediaType", ("source",))
        return {"mediaType": media_type} if media_type else {}

    # --- who gets it, and how ----------------------------------------------------------------------------------------

    def _offers(self, id: str, offers: Json) -> Iterable[ContractDefinition]:
        if not isinstance(offers, list) or not offers:
            names = ", ".join(sorted(self.policies)) or "none yet"
            self._wrong(
                "offer-missing", f'needs "policies": ["..."]; without one nobody sees it. There are: {names}', ("policies",)
            )
            return
        seen: set[str] = set()
        for number, offer in enumerate(offers):
            made = self._offer(id, offer, ("policies", number))
            if made is not None and made.id in seen:
                self._wrong("offer-twice", "is offered under this policy already; remove one", ("policies", number))
            elif made is not None:
                seen.add(made.id)
                yield made

    def _offer(self, id: str, offer: Json, at: Path) -> ContractDefinition | None:
        if isinstance(offer, str):
            policy, access, offer_id = self._policy(offer, at), None, None
        elif isinstance(offer, dict):
            self._known(offer, OFFER_KEYS, at)
            policy = self._policy(self._text(offer, "policy", at, required=True), (*at, "policy"))
            access = self._policy(self._text(offer, "access", at), (*at, "access")) if "access" in offer else None
            offer_id = self._text(offer, "@id", at) or None
        else:
            self._wrong("offer-shape", 'is the name of a policy, or {"policy": NAME, "access": NAME, "@id": ...}', at)
            return None
        if policy is None:
            return None
        name = f"{id}#{policy}" + (f"+{access}" if access else "")
        chosen = (Criterion(EDC + "id", "=", id),)
        return ContractDefinition(name, access or policy, policy, chosen, origin=self.document.file, offer_id=offer_id)

    def _policy(self, name: str, at: Path) -> str | None:
        if not name or name in self.broken:
            return None
        if name not in self.policies:
            near = difflib.get_close_matches(name, list(self.policies), 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(self.policies)) or 'none yet'}"
            self._wrong("offer-policy", f"there is no policy {name!r}; {hint}", at)
        return self.policies.get(name)

    # --- small things ------------------------------------------------------------------------------------------------

    def _text(self, given: Mapping[str, Json], name: str, at: Path, *, required: bool = False) -> str:
        value = given.get(name)
        if isinstance(value, str) and value.strip():
            return value
        if required or value is not None:
            verb = "is missing; write" if value is None else "is not"
            self._wrong("dataset-value", f"{name} {verb} a text", (*at, name))
        return ""

    def _known(self, given: Mapping[str, Json], known: tuple[str, ...], at: Path) -> None:
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1, 0.6)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
                self._wrong("dataset-key", f"there is no {name} here; {hint}", (*at, name), key=True)

    def _wrong(self, code: str, message: str, at: Path, level: str = "error", *, key: bool = False) -> None:
        self.problems.append(self.document.problem(code, message, at, key=key, level=level))
