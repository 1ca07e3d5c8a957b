"""Databases of every released version come up to date with all that is in them; those of newer ones are left alone."""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, create_engine, select, text
from sqlalchemy.orm import Session
from tests.contract import filling
from tests.contract.clocks import Still
from tests.contract.filling import NOW
from tests.postgresql import Server

from moorage.adapters.database import migrating
from moorage.adapters.database.compute import ComputeDatabase
from moorage.adapters.database.engine import Database
from moorage.adapters.database.identity import DatabaseIdentityStore
from moorage.adapters.database.images import DatabaseImageStore
from moorage.adapters.database.network import SqlNetworkStore
from moorage.adapters.database.network_tables import NETWORK
from moorage.adapters.database.postgresql import PostgresDatabase, upgrade_postgresql
from moorage.adapters.database.schema import FIRST, Schema
from moorage.adapters.database.schemas import SCHEMAS
from moorage.adapters.database.sqlite import open_sqlite
from moorage.adapters.database.timeline import DatabaseFactStore
from moorage.domain.errors import Invalid
from moorage.domain.identity import Domain, Project, Role, User
from moorage.domain.image import Viewer
from moorage.seams.server_store import ServerQuery

RELEASED = sorted((Path(__file__).parent / "released").iterdir())
pytestmark = pytest.mark.timeout(60)  # as conftest.POSTGRESQL
by_name = pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
by_release = pytest.mark.parametrize("release", RELEASED, ids=lambda path: path.name)


async def fill(database: Database, schema: Schema) -> None:
    """As filling.py does it."""
    fillers: Mapping[str, Callable[[], Awaitable[None]]] = {
        "identity": lambda: filling.fill_identity(DatabaseIdentityStore(database)),
        "image": lambda: filling.fill_image(DatabaseImageStore(database)),
        "compute": lambda: filling.fill_compute(ComputeDatabase(database)),
        "network": lambda: filling.fill_network(SqlNetworkStore(database, Still(NOW))),
        "timeline": lambda: filling.fill_timeline(DatabaseFactStore(database)),
    }
    await fillers[schema.name]()


async def told(database: Database, schema: Schema) -> list[Any]:
    """Everything that filling.py has put in, as the stores tell it."""
    match schema.name:
        case "identity":
            identity = DatabaseIdentityStore(database)
            things = [await identity.find(kind) for kind in (Domain, Project, User, Role)]  # type: ignore[type-var]
            return [*things, await identity.grants(), await identity.revocations(NOW)]
        case "image":
            found = await DatabaseImageStore(database).find(Viewer(None, is_admin=True))
            return sorted(found, key=lambda image: image.id)
        case "compute":
            compute = ComputeDatabase(database)
            return [
                await compute.list(ServerQuery()),
                await compute.actions(filling.SERVER),
                await compute.hosts(),
                await compute.flavors(),
                await compute.flavor_access(filling.TINY.id),
                await compute.keypairs(filling.USER),
            ]
        case "network":
            network = SqlNetworkStore(database, Still(NOW))
            return [
                await network.networks(None),
                await network.subnets(None),
                await network.ports(None),
                await network.groups(None),
                await network.agents(),
                await network.dead(),
                await network.take(NOW, 100),
            ]
        case _:
            return [await DatabaseFactStore(database).of(filling.SERVER)]


def released(schema: Schema, release: Path, path: Path) -> None:
    """A file as that version left it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((release / f"{schema.name}.sql").read_text())


Rows = dict[str, list[dict[str, Any]]]


def rows_of(connection: Connection) -> Rows:
    """All that is in all tables, in an order of its own."""
    tables = MetaData()
    tables.reflect(connection)
    return {
        table.name: [dict(row._mapping) for row in connection.execute(select(table).order_by(*table.primary_key))]
        for table in tables.sorted_tables
        if table.name not in ("alembic_version", "sqlite_sequence")
    }


def rows_in(path: Path) -> Rows:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        found = rows_of(connection)
    engine.dispose()
    return found


def lost(before: Rows, after: Rows) -> list[str]:
    """What a column held and does not hold any more. A migration that means to change something says so here."""
    nothing: dict[str, Any] = {}
    return [
        f"{table}: {old} became {new}"
        for table, rows in before.items()
        for old, new in zip_longest(rows, after.get(table, []), fillvalue=nothing)
        if not old.items() <= new.items()
    ]


@by_release
@by_name
async def test_a_released_file_comes_up_to_date_with_all_that_is_in_it(
    schema: Schema, release: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"{schema.name}.sqlite"
    released(schema, release, path)
    before = rows_in(path)
    database = open_sqlite(path, schema)
    assert [what for what in await told(database, schema) if not what] == []
    await database.close()
    assert lost(before, rows_in(path)) == []


@by_release
@by_name
async def test_so_does_a_released_database_on_postgresql(
    schema: Schema, release: Path, tmp_path: Path, elsewhere: str
) -> None:
    path = tmp_path / f"{schema.name}.sqlite"
    released(schema, release, path)
    before = rows_in(path)
    database = PostgresDatabase(elsewhere, schema)
    try:
        await database.run("making the old tables", lambda session: fill_as_released(session, schema, before))
        assert await upgrade_postgresql(elsewhere, schema) == (FIRST, schema.head)
        after = await database.run("reading all", lambda session: rows_of(session.connection()))
        assert lost(before, after) == []
        assert [what for what in await told(database, schema) if not what] == []
    finally:
        await database.close()


def fill_as_released(session: Session, schema: Schema, rows: Rows) -> None:
    """The tables of the first release, with these rows."""
    session.execute(text(f"DROP SCHEMA IF EXISTS {schema.name} CASCADE"))
    session.execute(text(f"CREATE SCHEMA {schema.name}"))
    migrating.upgrade(session.connection(), schema, FIRST)
    tables = MetaData()
    tables.reflect(session.connection())
    for table in tables.sorted_tables:
        if rows.get(table.name):
            session.execute(table.insert(), rows[table.name])


@pytest.fixture(scope="session")
def elsewhere(server: Server) -> str:
    """A database in which nobody minds what becomes of tables."""
    return server.make_database("upgrades")


@by_name
async def test_what_fills_a_release_leaves_no_table_empty(schema: Schema, tmp_path: Path) -> None:
    database = open_sqlite(tmp_path / "x.sqlite", schema)
    await fill(database, schema)
    rows = await database.run("counting", lambda session: rows_of(session.connection()))
    assert [name for name, found in rows.items() if not found] == []
    await database.close()


def differences(connection: Connection, schema: Schema) -> list[Any]:
    """Between the tables that the migrations make and those that the stores use."""
    migrating.upgrade(connection, schema)
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, schema.metadata))


@by_name
async def test_tables_and_migrations_say_the_same(schema: Schema, elsewhere: str) -> None:
    assert schema.head == migrating.revisions(schema)[-1]
    assert schema.head is not None
    assert int(schema.head) > 0  # it is written into SQLite's user_version too
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        assert differences(connection, schema) == []
    engine.dispose()
    await upgrade_postgresql(elsewhere, schema)
    database = PostgresDatabase(elsewhere, schema)
    assert await database.run("comparing", lambda session: differences(session.connection(), schema)) == []
    await database.close()


async def test_a_file_is_kept_as_it_was_and_brought_up_to_date_once(tmp_path: Path) -> None:
    path = tmp_path / "network.sqlite"
    released(NETWORK, RELEASED[0], path)
    (tmp_path / "network.sqlite.new").write_text("what a crash has left")
    for _ in range(2):
        await open_sqlite(path, NETWORK).close()
    assert {file.name for file in tmp_path.iterdir()} == {"network.sqlite", "network.0001.sqlite"}
    with closing(sqlite3.connect(tmp_path / "network.0001.sqlite")) as kept, closing(sqlite3.connect(path)) as now:
        assert kept.execute("PRAGMA user_version").fetchone() == (NETWORK.first_mark,)
        assert now.execute("PRAGMA user_version").fetchone() == (int(NETWORK.head or 0),)
        tables = "SELECT id, document FROM ports"
        assert kept.execute(tables).fetchall() == now.execute(tables).fetchall() != []


async def test_a_file_whose_making_was_cut_short_is_made(tmp_path: Path) -> None:
    path = tmp_path / "network.sqlite"
    await open_sqlite(path, NETWORK).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE outbox")
        connection.execute("PRAGMA user_version = 0")  # which is written last
    database = open_sqlite(path, NETWORK)
    await fill(database, NETWORK)
    await database.close()


def test_a_newer_versions_file_is_refused_with_what_to_do_and_left_as_it_is(tmp_path: Path) -> None:
    path, schema = tmp_path / "network.sqlite", NETWORK
    released(schema, RELEASED[0], path)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);"
            "INSERT INTO alembic_version VALUES ('9999'); PRAGMA user_version = 9999; PRAGMA journal_mode = WAL"
        )
    before = path.read_bytes()
    with pytest.raises(Invalid, match=r"newer version of Moorage.*stand at 9999.*--purge"):
        open_sqlite(path, schema)
    assert [path.read_bytes(), *tmp_path.iterdir()] == [before, path]


def test_a_file_that_is_none_of_ours_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "network.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 12345")
    with pytest.raises(Invalid, match=r"another version of Moorage.*--purge"):
        open_sqlite(path, NETWORK)
