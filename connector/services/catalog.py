"""Catalogs: ours as a caller may see it, and other connectors' as they send them (DSP 2025-1, sections 5 and 6)."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, urljoin, urlsplit

import orjson

from connector.dsp import codec, dialects
from connector.dsp.binding import join
from connector.dsp.dialects import NEWEST, Dialect
from connector.dsp.messages import PROTOCOL, CatalogRequest
from connector.dsp.offering import Criterion
from connector.errors import Denied, Malformed, NotFound, TooLarge, Unavailable
from connector.identity.participant import Participant
from connector.jsonld.document import normalise_catalog
from connector.observe import current_correlation
from connector.odrl.model import Json
from connector.ports import Answer, Clock, Identity, Ids, Peers, Query
from connector.services.offerings import Offerings

PAGE = 1000  # datasets on one page when the caller does not say
PAGES = 1000  # pages followed at a peer
FILTER = 4096  # bytes of a filter: each of its parts is asked of every dataset, and it has to fit into the next page's URL
BYTES = 64_000_000  # of a peer's catalog, all pages together; 10,000 datasets have 10 MB
LINK = re.compile(r'<([^<>]*)>\s*;[^,<]*?rel\s*=\s*"?([a-zA-Z]+)"?')


@dataclass(frozen=True, slots=True)
class Page:
    body: bytes
    next: str | None  # continuation tokens, opaque to callers (DSP-047)
    previous: str | None


class Catalogs:
    def __init__(
        self, offerings: Offerings, peers: Peers, identity: Identity, clock: Clock, ids: Ids, endpoint_url: str
    ) -> None:
        self._offerings, self._peers, self._identity = offerings, peers, identity
        self._clock, self._ids, self._endpoint_url = clock, ids, endpoint_url

    # --- ours ---------------------------------------------------------------------------------------------------------

    def answer(
        self, caller: Participant, request: CatalogRequest, token: str | None = None, dialect: Dialect = NEWEST
    ) -> Page:
        """Return one page for `caller`. Raises Malformed for a filter we do not understand (DSP-031)."""
        query = read_token(token) if token else read_query(request.filter)
        page = self._offerings.current.page(caller, self._clock(), query)
        limit = query.limit or PAGE
        service = f"{self._endpoint_url}#service"
        body = codec.write_catalog(
            f"{self._endpoint_url}/catalog", self._offerings.participant, page.datasets, self._endpoint_url, service
        )
        before = max(0, query.offset - limit)
        return Page(
            self._said(body, dialect),
            write_token(replace(query, offset=query.offset + limit)) if page.more else None,
            write_token(replace(query, offset=before)) if query.offset else None,
        )

    def dataset_for(self, caller: Participant, dataset_id: str, dialect: Dialect = NEWEST) -> bytes:
        """Return one dataset as JSON. Raises NotFound, also when the caller may not see it."""
        entry = self._offerings.current.dataset(caller, self._clock(), dataset_id)
        if entry is None:
            raise NotFound(f"no dataset {dataset_id}")
        return self._said(codec.write_dataset(entry), dialect)

    def _said(self, body: bytes, dialect: Dialect) -> bytes:
        return dialect.write(body, address=self._endpoint_url, provider=self._offerings.participant)

    # --- other connectors' --------------------------------------------------------------------------------------------

    async def request(self, peer: str, address: str, query: Json | None = None, protocol: str = PROTOCOL) -> dict[str, Json]:
        """Return a peer's catalog as it sent it, pages merged unless the query limits them.

        Raises:
            Denied: the peer does not know us, or shows us nothing.
            Unavailable: the peer does not answer, or not with a catalog; the text says which.
        """
        message = CatalogRequest(id=self._ids(), filter=() if query is None else (query,))
        dialect = dialects.of(protocol)
        body = dialect.write(codec.write_catalog_request(message))
        authorization = await self._identity.authorize(peer, None)
        url: str | None = join(address, "/catalog/request")
        first = url
        catalog: dict[str, Json] | None = None
        left = BYTES
        for _ in range(PAGES):
            if url is None:
                break
            answer = await self._peers.post(url, body, authorization, current_correlation(), at_most=left)
            left -= len(answer.body)
            page = await self._read(answer, peer, frozenset({"Catalog"}), dialect)
            catalog = page if catalog is None else _merge(catalog, page)
            limited = isinstance(query, Mapping) and query.get("limit") is not None
            url = None if limited else _following(answer, url, str(first))
            authorization = await self._identity.authorize(peer, None) if url else authorization
        if catalog is None:
            raise Unavailable(f"{peer} sent no catalog")
        return catalog

    async def dataset(self, peer: str, address: str, dataset_id: str, protocol: str = PROTOCOL) -> dict[str, Json]:
        """Return one dataset of a peer as it sent it. Raises NotFound, and what `request` raises."""
        url = join(address, "/catalog/datasets/" + quote(dataset_id, safe=""))
        authorization = await self._identity.authorize(peer, None)
        answer = await self._peers.get(url, authorization, current_correlation())
        if answer.status == 404:
            raise NotFound(f"{peer} has no dataset {dataset_id}, or not for us")
        return await self._read(answer, peer, frozenset({"Dataset"}), dialects.of(protocol))

    async def _read(self, answer: Answer, peer: str, types: frozenset[str], dialect: Dialect) -> dict[str, Json]:
        if answer.status in (401, 403):
            raise Denied(f"{peer} answered {answer.status}{_reasons(answer.body)}")
        if answer.status != 200:
            raise Unavailable(f"{peer} answered {answer.status}{_reasons(answer.body)}")
        try:
            return await normalise_catalog(answer.body, types, dialect.namespace)
        except (Malformed, TooLarge) as error:
            raise Unavailable(f"{peer} answered what is not a {' or '.join(types)}: {error}") from error


def read_query(filter: tuple[Json, ...]) -> Query:
    """Return the one QuerySpec of a catalog request's filter (EDC's form: the only one this connector supports)."""
    if not filter:
        return Query(limit=PAGE)
    if len(filter) > 1 or not isinstance(filter[0], Mapping):
        raise Malformed("filter: send one QuerySpec with offset, limit, filterExpression; nothing else is supported")
    return query_of(filter[0])


def query_of(spec: Mapping[str, Json], limit: int = PAGE) -> Query:
    """Return a QuerySpec as a Query. Raises Malformed naming the member."""
    unknown = set(spec) - {"@type", "@id", "@context", "offset", "limit", "sortField", "sortOrder", "filterExpression"}
    if unknown:
        raise Malformed(f"filter.{sorted(unknown)[0]} is not a member of a QuerySpec")
    if len(orjson.dumps(spec)) > FILTER:
        raise Malformed(f"filter has more than {FILTER} bytes: ask for fewer things at once")
    expressions = spec.get("filterExpression") or []
    items = expressions if isinstance(expressions, list | tuple) else [expressions]
    sort = spec.get("sortField")
    order = spec.get("sortOrder", "ASC")
    if order not in ("ASC", "DESC") or not (sort is None or isinstance(sort, str)):
        raise Malformed("filter.sortOrder is ASC or DESC, filter.sortField a property")
    return Query(
        filters=tuple(_criterion(item) for item in items),
        sort=sort,
        descending=order == "DESC",
        offset=_whole(spec, "offset", 0, 0),
        limit=_whole(spec, "limit", limit, 1),
    )


def _criterion(item: Json) -> Criterion:
    if not isinstance(item, Mapping):
        raise Malformed("filter.filterExpression holds Criterion objects")
    left, operator = item.get("operandLeft"), item.get("operator")
    if not isinstance(left, str) or not isinstance(operator, str) or "operandRight" not in item:
        raise Malformed("a Criterion needs operandLeft, operator and operandRight")
    return Criterion(left, operator, item["operandRight"])


def _whole(spec: Mapping[str, Json], name: str, default: int, least: int) -> int:
    value = spec.get(name, default)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 10_000_000:
        raise Malformed(f"filter.{name} is a whole number of at least {least}")
    return value


def write_token(query: Query) -> str:
    spec = {
        "offset": query.offset, "limit": query.limit, "sortOrder": "DESC" if query.descending else "ASC",
        "filterExpression": [
            {"operandLeft": c.left, "operator": c.operator, "operandRight": c.right} for c in query.filters
        ],
    } | ({"sortField": query.sort} if query.sort else {})  # fmt: skip
    return base64.urlsafe_b64encode(orjson.dumps(spec)).decode().rstrip("=")


def read_token(token: str) -> Query:
    try:
        spec = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except ValueError as error:
        raise Malformed("the page token is not one of ours: follow the links as they are") from error
    if not isinstance(spec, dict):
        raise Malformed("the page token is not one of ours: follow the links as they are")
    return query_of(spec)


def _following(answer: Answer, url: str, first: str) -> str | None:
    """Return the next page's URL (Link, relation `next`); only on the peer's own origin."""
    for target, relation in LINK.findall(answer.headers.get("link", "")):
        if relation.lower() == "next":
            resolved = urljoin(url, target)
            same = urlsplit(resolved)[:2] == urlsplit(first)[:2]
            return resolved if same else None
    return None


def _merge(catalog: dict[str, Json], page: dict[str, Json]) -> dict[str, Json]:
    merged = dict(catalog)
    for name in ("dataset", "catalog", "service"):
        more = page.get(name)
        have = merged.get(name)
        if isinstance(more, list):
            known = {d.get("@id") for d in have if isinstance(d, Mapping)} if isinstance(have, list) else set()
            fresh = [d for d in more if not isinstance(d, Mapping) or d.get("@id") not in known]
            merged[name] = [*(have if isinstance(have, list) else []), *fresh]
    return merged


def _reasons(body: bytes) -> str:
    try:
        code, reasons = codec.read_error(body)
    except Malformed:
        return ""
    words = "; ".join(str(r)[:300] for r in reasons[:3])
    return f" {code or ''}: {words}" if words else (f" {code}" if code else "")
