"""PostgreSQL by asyncpg: the same units of work as on SQLite, several side by side, in a schema for each service."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import asyncpg
import structlog
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from moorage.adapters.database.bell import Bell
from moorage.adapters.database.locks import hold
from moorage.adapters.database.postgresql_bell import PostgresBell
from moorage.adapters.database.postgresql_errors import in_our_words, reaching, shown, state_of
from moorage.adapters.database.schema import Schema, require_known, revision_of
from moorage.domain.errors import Conflict, Invalid, MoorageError

log = structlog.get_logger(__name__)
T = TypeVar("T")

ALONE = 0x6D6F6F72  # any number, but always this one
CONNECTIONS = 5  # of each service in each process: one loop keeps no more than a few busy
LIMIT = 8.0  # seconds, for a unit of work with all its waiting
CONNECT_LIMIT = 3.0  # seconds
TRIES = 5
TRIES_OF_CONFLICT = 2  # the second look sees what the first could not, and says so in its own words
SETTINGS = {
    "statement_timeout": "6s",
    "lock_timeout": "4s",
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "5",  # seconds; a client whose machine is gone holds nothing for longer than about 11
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "jit": "off",  # our statements are over before they are compiled
}
_AGAIN = {
    "40001": TRIES,  # serialization failure
    "40P01": TRIES,  # deadlock
    "0A000": TRIES,  # a plan from before an upgrade of the tables
    "23505": TRIES_OF_CONFLICT,  # unique violation
    "23503": TRIES_OF_CONFLICT,  # foreign key violation
}
_HAS_SCHEMA = text("SELECT count(*) FROM pg_namespace WHERE nspname = :name")
_ONE = text("SELECT 1")
_PROMISE = text("SHOW synchronous_commit")


class PostgresDatabase:
    """Fulfils engine.Database.

    The isolation is READ COMMITTED: whoever decides by what it has read locks it, rows in the order of their numbers.
    What collides all the same is run again. A unit of work is plain code in a greenlet, which asyncpg's waiting
    suspends; so it cannot await anything else while its transaction is open.
    """

    def __init__(self, url: str, schema: Schema, *, limit: float = LIMIT) -> None:
        """`limit`: seconds for a unit of work with all its waiting."""
        self._url = url
        self._limit = limit
        self._schema = schema
        self._connections: list[Any] = []  # asyncpg's, as they were made
        self._engine = _engine(url, schema, self._connections)
        self._turns = asyncio.Semaphore(CONNECTIONS)  # first come, first served, which the pool's own queue is not
        self._bells: list[PostgresBell] = []

    async def run(self, act: str, work: Callable[[Session], T]) -> T:
        with in_our_words(act):
            async with asyncio.timeout(self._limit):
                tries = 1
                while True:
                    try:
                        return await self._once(work)
                    except DBAPIError as error:
                        if tries >= _AGAIN.get(state_of(error.orig), 1):
                            raise
                    tries += 1

    async def _once(self, work: Callable[[Session], T]) -> T:
        def unit(session: Session) -> T:
            with session.begin():
                return work(session)

        async with self._turns, AsyncSession(self._engine, expire_on_commit=False) as session:
            return await session.run_sync(unit)

    async def check(self) -> None:
        await self.run("reading the database", lambda session: session.execute(_ONE))

    def bell(self, name: str) -> Bell:
        bell = PostgresBell(f"{self._schema.name}_{name}", partial(connect, self._url, self._schema))
        self._bells.append(bell)
        return bell

    async def close(self) -> None:
        """Whatever is under way fails: the pool forgets connections that somebody has, and they would stay open."""
        for bell in self._bells:
            await bell.close()
        await self._engine.dispose()
        for connection in self._connections:
            connection.terminate()

    async def revision(self) -> str | None:
        """The migration that the tables stand at; None where there are none. Raises Unavailable, and says of what."""
        with reaching(self._url):
            async with asyncio.timeout(self._limit):
                return await self._once(lambda session: revision_of(session.connection()))

    async def require_current(self) -> None:
        """Raises Invalid unless the tables are those that this version knows, Unavailable."""
        found = await self.revision()
        if found == self._schema.head:
            return
        place = _place(self._url, self._schema)
        if found is None:
            raise Invalid(f"{place} has no tables of Moorage's: `moorage db upgrade` makes them")
        from moorage.adapters.database.migrating import revisions

        require_known(found, self._schema, revisions(self._schema), place, "use that version")
        raise Invalid(
            f"{place} was made by an older version of Moorage (its tables stand at {found}, this one wants "
            f"{self._schema.head}): `moorage db upgrade` brings it up to date"
        )


@asynccontextmanager
async def alone(url: str) -> AsyncIterator[None]:
    """Nobody else who asks for it has the database at `url` meanwhile. Raises Conflict when somebody has, Unavailable.

    It is had by a connection: if that is lost, so is this.
    """
    with reaching(url):
        connection = await _connected(url, SETTINGS)
    try:
        with reaching(url):
            is_mine = await connection.fetchval("SELECT pg_try_advisory_lock($1::bigint)", ALONE)
        if not is_mine:
            raise Conflict(f"another cloud runs on {shown(url)}: each needs a database of its own")
        yield
    finally:
        connection.terminate()


async def open_postgresql(url: str, schema: Schema, *, makes_tables: bool = False) -> PostgresDatabase:
    """The schema's part of the database at `url` (postgresql://…, as libpq writes it), which must be up to date.

    `makes_tables`: if there are none. Raises Invalid for those of another version, Unavailable.
    """
    database = PostgresDatabase(url, schema)
    try:
        if makes_tables and await database.revision() is None:
            await upgrade_postgresql(url, schema)
        await database.require_current()
        if await database.run("reading its settings", lambda session: session.scalar(_PROMISE)) == "off":
            log.warning("synchronous_commit is off: when PostgreSQL crashes, news may be lost", database=shown(url))
    except MoorageError:
        await database.close()
        raise
    return database


async def connect(url: str, schema: Schema, *, command_limit: float | None = LIMIT) -> Any:
    """A connection of asyncpg's own, whose names are the schema's."""
    names = {"search_path": schema.name, "application_name": f"moorage {schema.name}"}
    return await _connected(url, {**SETTINGS, **names}, command_limit)


async def _connected(url: str, settings: Mapping[str, str], command_limit: float | None = LIMIT) -> Any:
    try:
        return await asyncpg.connect(  # type: ignore[no-untyped-call]
            url, timeout=CONNECT_LIMIT, command_timeout=command_limit, server_settings=dict(settings)
        )
    except ValueError as error:  # its text may hold what should not be shown
        raise Invalid(
            "the database's URL cannot be read: postgresql://USER:PASSWORD@HOST:PORT/NAME is one, with special "
            "characters of the password as %XX"
        ) from error


async def upgrade_postgresql(url: str, schema: Schema) -> tuple[str | None, str]:
    """Make the service's tables, or bring them up to date: in one transaction, one at a time. Repeatable.

    Returns the migrations that they stood at and stand at. Raises Invalid for a newer version's, Unavailable.
    """
    from moorage.adapters.database import migrating

    assert schema.head is not None

    def work(session: Session) -> str | None:
        hold(session, f"upgrading {schema.name}")
        for setting in ("statement_timeout = 0", "idle_in_transaction_session_timeout = 0", "lock_timeout = '30s'"):
            session.execute(text(f"SET LOCAL {setting}"))
        if not session.scalar(_HAS_SCHEMA, {"name": schema.name}):  # to ask for it takes more rights than to have it
            session.execute(text(f"CREATE SCHEMA {schema.name}"))
        connection = session.connection()
        found = revision_of(connection)
        if found is not None:
            require_known(found, schema, migrating.revisions(schema), _place(url, schema), "use that version")
        migrating.upgrade(connection, schema)
        return found

    made: list[Any] = []
    engine = _engine(url, schema, made, command_limit=None)
    try:
        with reaching(url):
            async with AsyncSession(engine) as session, session.begin():
                return await session.run_sync(work), schema.head
    finally:
        await engine.dispose()
        for connection in made:
            connection.terminate()


def _place(url: str, schema: Schema) -> str:
    return f"the schema {schema.name} of {shown(url)}"


def _engine(url: str, schema: Schema, made: list[Any], *, command_limit: float | None = LIMIT) -> AsyncEngine:
    """`made` has its connections that may be open."""

    async def connection() -> Any:
        new = await connect(url, schema, command_limit=command_limit)
        made[:] = [*(one for one in made if not one.is_closed()), new]
        return new

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connection,
        pool_size=CONNECTIONS,
        max_overflow=0,
    )

    @event.listens_for(engine.sync_engine, "checkout")
    def refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
        """The pool then takes another; one that the server has closed is known without asking."""
        if connection.driver_connection.is_closed():
            raise DisconnectionError

    return engine
