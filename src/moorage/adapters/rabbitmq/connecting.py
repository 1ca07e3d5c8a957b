"""A connection made, and ended: in order, or at once when nothing comes from it any more."""

import asyncio
import os
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aio_pika.abc import AbstractConnection
from aio_pika.connection import Connection
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from yarl import URL

from moorage.adapters.rabbitmq.foreign import TROUBLES
from moorage.adapters.rabbitmq.settings import RabbitSettings
from moorage.domain.errors import Unavailable
from moorage.kit.translating import translating

CONNECT_WITHIN = 5.0  # seconds, the AMQP handshake included
CLOSE_WITHIN = 2.0  # seconds
HEARTBEAT = 3  # seconds; the broker gives up a client that it has not heard for twice as long


class _Transports(TransportFactory):
    """Makes one connection, and keeps hold of its socket."""

    def __init__(self, factory: TransportFactory) -> None:
        self._factory = factory
        self._writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, self._writer = await self._factory.create(url, **kwargs)
        return reader, self._writer

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()


@dataclass(frozen=True)
class Connected:
    connection: AbstractConnection
    _transports: _Transports = field(repr=False)

    def abort(self) -> None:
        """Drop the socket: a peer that is silent is not waited for."""
        self._transports.abort()

    async def close(self) -> None:
        """Take leave of the broker, if it still answers."""
        with suppress(*TROUBLES):
            async with asyncio.timeout(CLOSE_WITHIN):
                await self.connection.close()
        self.abort()


async def connect(settings: RabbitSettings, context: ssl.SSLContext | None) -> Connected:
    """Raises Unavailable."""
    url = URL(settings.url).update_query(heartbeat=HEARTBEAT)
    transports = _Transports(TCPTransportFactory() if context is None else TLSTransportFactory())
    connection = Connection(url, ssl_context=context, client_properties={"connection_name": f"moorage {os.getpid()}"})
    connection.kwargs["transport_factory"] = transports
    try:
        with translating({TROUBLES: Unavailable}, f"connecting to the bus at {url.host}:{url.port}"):
            await connection.connect(timeout=CONNECT_WITHIN)
    except Unavailable:
        transports.abort()
        raise
    return Connected(connection, transports)
