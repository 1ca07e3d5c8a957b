"""Where stores are tried: on a SQLite in memory and in a file, and on a PostgreSQL that is started once for all."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session
from tests.postgresql import Server, postgresql

from moorage.adapters.database.engine import Database
from moorage.adapters.database.postgresql import PostgresDatabase, upgrade_postgresql
from moorage.adapters.database.schema import Schema
from moorage.adapters.database.schemas import SCHEMAS
from moorage.adapters.database.sqlite import open_sqlite

Opened = Callable[[Schema], AbstractAsyncContextManager[Database]]


def in_sqlite(directory: Path | None) -> Opened:
    @asynccontextmanager
    async def opened(schema: Schema) -> AsyncIterator[Database]:
        database = open_sqlite(None if directory is None else directory / f"{schema.name}.sqlite", schema)
        try:
            yield database
        finally:
            await database.close()

    return opened


def in_postgresql(url: str) -> Opened:
    """Empty when it is opened first."""
    emptied: set[str] = set()

    @asynccontextmanager
    async def opened(schema: Schema) -> AsyncIterator[Database]:
        database = PostgresDatabase(url, schema)
        try:
            if schema.name not in emptied:
                emptied.add(schema.name)
                await database.run("emptying the tables", lambda session: empty(session, schema))
            yield database
        finally:
            await database.close()

    return opened


def empty(session: Session, schema: Schema) -> None:
    if schema.head is None:
        session.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema.name}"))
        schema.metadata.create_all(session.connection())
    session.execute(text(f"TRUNCATE {', '.join(schema.metadata.tables)} RESTART IDENTITY"))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def url(server: Server) -> str:
    """A database with the tables of all services."""
    url = server.make_database("contract")

    async def upgrade() -> None:
        for schema in SCHEMAS:
            await upgrade_postgresql(url, schema)

    asyncio.run(upgrade())
    return url


POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.timeout(60))  # the first waits for the server to be made


def place(request: pytest.FixtureRequest, directory: Path) -> Opened:
    if request.param == "postgresql":
        return in_postgresql(request.getfixturevalue("url"))
    return in_sqlite(directory if request.param == "file" else None)


@pytest.fixture(params=["memory", "file", POSTGRESQL])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Opens the database of a schema, one for each test."""
    return place(request, tmp_path)


@pytest.fixture(params=["file", POSTGRESQL])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """The same, in a place that holds the next time what it held before."""
    return place(request, tmp_path)
