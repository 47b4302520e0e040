"""A plain file server, the origin behind the proxied pulls: `python -m benchmarks.origin FOLDER PORT`."""

from __future__ import annotations

import sys

from aiohttp import web

if __name__ == "__main__":
    served = web.Application()
    served.router.add_static("/", sys.argv[1])
    web.run_app(served, host="127.0.0.1", port=int(sys.argv[2]), print=None, access_log=None)
