"""The management API, compatible with that of Eclipse Dataspace Components, versions 3 and 4.

One file per family of objects; `operation` says what a row of their tables is, `routes` serves the rows, `openapi`
describes them. Reading and writing of bodies is `jsonld`, `fields` and `query`.
"""

from connector.web.management.operation import DataPlane, Parts
from connector.web.management.routes import routes

__all__ = ["DataPlane", "Parts", "routes"]
