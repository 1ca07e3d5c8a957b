"""An ASGI application behind a socket, for as long as a context lasts; then what is under way ends in order."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn

from moorage.domain.errors import Invalid
from moorage.kit.mount import Asgi

KEEP_ALIVE = 75  # seconds that an idle connection is kept: longer than our own clients keep theirs


class _Quiet(uvicorn.Server):
    """Leaves signals to whoever runs the process, and says when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_started = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_started.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served(
    app: Asgi,
    listener: socket.socket,
    *,
    grace: float = 1.0,  # seconds that requests under way get at the end
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[None]:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        log_level="warning",
        lifespan="off",
        timeout_graceful_shutdown=max(1, round(grace)),
        timeout_keep_alive=KEEP_ALIVE,
        limit_concurrency=1000,
        backlog=2048,
        forwarded_allow_ips="*",  # X-Forwarded-Proto, like Host, says no more than how its sender is told of links
    )
    config.load()
    config.ssl = tls
    server = _Quiet(config)
    ended = asyncio.Event()

    async def serve() -> None:
        try:
            await server.serve(sockets=[listener])
        finally:
            ended.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(serve())
        try:
            await server.is_started.wait()
            yield
        finally:
            server.should_exit = True
            await ended.wait()  # or the group of a cancelled task would cut it off


def server_context(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """What a TLS listener shows. Raises Invalid."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert_file, key_file)
    except (OSError, ssl.SSLError) as error:
        raise Invalid(f"certificate {cert_file} with key {key_file} cannot be used: {error}") from error
    return context
