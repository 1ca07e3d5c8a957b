"""PostgreSQL's bell: NOTIFY at commit, LISTEN on a connection of its own, which also proves that its owner lives."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any
from zlib import crc32

from sqlalchemy import BigInteger, ColumnElement, bindparam, column, func, select, text
from sqlalchemy.orm import Session

from moorage.adapters.database.postgresql_errors import in_our_words
from moorage.domain.errors import Unavailable

LOOK_EVERY = 1.0  # seconds; a call that is lost is found then, as is what somebody who died has left

# A name is held as a lock of its connection's: it goes with the connection, however that ends.
_HELD = """
SELECT objid::bigint AS name FROM pg_locks
WHERE locktype = 'advisory' AND objsubid = 2 AND classid::bigint = :bell
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class PostgresBell:
    """Fulfils bell.Bell. Connects when it is first needed, and again when the connection is lost.

    `heard` returns each `look_every` seconds at least.
    """

    def __init__(self, channel: str, connect: Callable[[], Awaitable[Any]], *, look_every: float = LOOK_EVERY) -> None:
        self._channel = channel
        self._connect = connect
        self._look_every = look_every
        self._number = crc32(channel.encode()) & 0x7FFFFFFF
        self._one_at_a_time = asyncio.Lock()
        self._connection: Any = None
        self._name = 0
        self._rung = asyncio.Event()
        self._rung.set()

    def ring(self, session: Session) -> None:
        session.execute(_NOTIFY, {"channel": self._channel})

    async def heard(self) -> None:
        await self._listen()
        try:
            async with asyncio.timeout(self._look_every):
                await self._rung.wait()
        except TimeoutError:
            await self._ask()
        self._rung.clear()

    async def name(self) -> int:
        await self._listen()
        return self._name

    def is_gone(self, name: ColumnElement[Any]) -> ColumnElement[bool]:
        held = text(_HELD).bindparams(bindparam("bell", self._number, BigInteger)).columns(column("name", BigInteger))
        return name.not_in(held)

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _listen(self) -> None:
        async with self._one_at_a_time:
            if self._connection is None or self._connection.is_closed():
                with in_our_words("listening"):
                    await self._begin(await self._connect())

    async def _begin(self, connection: Any) -> None:
        name = secrets.randbits(31)
        try:
            await connection.execute("SELECT pg_advisory_lock($1::int, $2::int)", self._number, name)
            await connection.add_listener(self._channel, lambda *_: self._rung.set())
            connection.add_termination_listener(lambda *_: self._rung.set())
            self._connection, self._name = connection, name
        finally:
            if self._connection is not connection:
                connection.terminate()
        self._rung.set()  # what was called before we listened is not heard any more

    async def _ask(self) -> None:
        """Whether the other end is still there: a machine that is gone closes nothing."""
        try:
            with in_our_words("listening"):
                await self._connection.execute("SELECT 1")
        except Unavailable:
            self._connection.terminate()
            raise


_NOTIFY = select(func.pg_notify(bindparam("channel"), ""))
