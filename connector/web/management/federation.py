"""The federated catalogue: what the connectors of the data space offer, as last seen."""

from __future__ import annotations

from connector.services.federation import flat
from connector.web.management import query
from connector.web.management.jsonld import Node, short
from connector.web.management.operation import AsIs, Call, Operation, Parts


async def request(parts: Parts, call: Call) -> list[AsIs]:
    asked = query.read(call.body)
    call.body.check()
    held = parts.federation.catalogs()
    if call.params.get("flatten", "").lower() == "true":
        held = [flat(catalog) for catalog in held]
    # asked for by short names like everything else, answered as it is; "" is a name that no query can have
    views: list[Node] = [{short(name): value for name, value in catalog.items()} | {"": catalog} for catalog in held]
    return [AsIs(whole) for view in query.select(views, asked) if isinstance(whole := view[""], dict)]


WORDS = (
    "Query the catalogues of other connectors, as last seen; `flatten=true` puts the datasets of nested catalogues into one"
)
OPERATIONS = (
    Operation("POST", "/catalogs/request", request, WORDS, "QuerySpec", "Catalog", True, (400,), ("flatten",)),
    Operation(
        "POST", "/catalog/query", request, WORDS, "QuerySpec", "Catalog", True, (400,), ("flatten",), only=("v1alpha",)
    ),
)
