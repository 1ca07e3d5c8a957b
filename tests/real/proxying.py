"""An HTTP proxy before a cloud's APIs, for tests: TLS to its clients; it keeps Host, and sets X-Forwarded-Proto."""

import itertools
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from yarl import URL

ITS_OWN = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}  # of each connection


@dataclass
class Proxy:
    """`behind` are the addresses of each service's processes, by the first word of a path; they take turns."""

    url: str
    session: aiohttp.ClientSession
    turns: dict[str, Iterator[str]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)

    def stand_before(self, behind: Mapping[str, Sequence[str]]) -> None:
        self.turns = {service: itertools.cycle(addresses) for service, addresses in behind.items()}

    async def carry(self, request: web.Request) -> web.Response:
        address = next(self.turns[request.path.split("/")[1]])
        self.asked[address] += 1
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in ITS_OWN]
        headers.append(("X-Forwarded-Proto", "https"))
        url, body = URL(f"{address}{request.raw_path}", encoded=True), await request.read()
        async with self.session.request(
            request.method, url, headers=headers, data=body or None, allow_redirects=False
        ) as answer:
            told = [(name, value) for name, value in answer.headers.items() if name.lower() not in ITS_OWN]
            return web.Response(status=answer.status, headers=dict(told), body=await answer.read())


@asynccontextmanager
async def a_proxy(port: int, context: ssl.SSLContext) -> AsyncIterator[Proxy]:
    """At https://localhost:PORT. The APIs are asked from another address than they are at, as from another machine."""
    connector = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        proxy = Proxy(f"https://localhost:{port}", session)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", proxy.carry)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
            yield proxy
        finally:
            await runner.cleanup()
