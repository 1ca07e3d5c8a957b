"""Databases of every released version come up to date with all that is in them; those of newer ones are left alone."""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect
from tests.contract import filling
from tests.contract.filling import NOW

from moorage.adapters.database import migrating
from moorage.adapters.database.compute import ComputeDatabase
from moorage.adapters.database.engine import Database
from moorage.adapters.database.identity import DatabaseIdentityStore
from moorage.adapters.database.images import DatabaseImageStore
from moorage.adapters.database.network import SqlNetworkStore
from moorage.adapters.database.schema import Schema
from moorage.adapters.database.schemas import SCHEMAS
from moorage.adapters.database.sqlite import open_sqlite
from moorage.adapters.database.timeline import DatabaseFactStore
from moorage.domain.errors import Invalid
from moorage.domain.identity import Domain, Project, Role, User
from moorage.domain.image import Viewer
from moorage.seams.server_store import ServerQuery

RELEASED = sorted((Path(__file__).parent / "released").iterdir())
by_name = pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
by_release = pytest.mark.parametrize("release", RELEASED, ids=lambda path: path.name)


class Still:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


async def fill(database: Database, schema: Schema) -> None:
    """As filling.py does it."""
    fillers: Mapping[str, Callable[[], Awaitable[None]]] = {
        "identity": lambda: filling.fill_identity(DatabaseIdentityStore(database)),
        "image": lambda: filling.fill_image(DatabaseImageStore(database)),
        "compute": lambda: filling.fill_compute(ComputeDatabase(database)),
        "network": lambda: filling.fill_network(SqlNetworkStore(database, Still())),
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
            network = SqlNetworkStore(database, Still())
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


def rows_of(connection: Connection) -> dict[str, int]:
    names = [name for name in inspect(connection).get_table_names() if name != "sqlite_sequence"]
    return {name: connection.exec_driver_sql(f'SELECT count(*) FROM "{name}"').scalar_one() for name in names}


@by_release
@by_name
async def test_a_released_database_comes_up_to_date_with_all_that_is_in_it(
    schema: Schema, release: Path, tmp_path: Path
) -> None:
    path, fresh = tmp_path / f"{schema.name}.sqlite", tmp_path / "fresh.sqlite"
    released(schema, release, path)
    old, new = open_sqlite(path, schema), open_sqlite(fresh, schema)
    await fill(new, schema)
    assert await told(old, schema) == await told(new, schema)
    await old.close()
    await new.close()


@by_name
async def test_what_fills_a_release_leaves_no_table_empty(schema: Schema, tmp_path: Path) -> None:
    database = open_sqlite(tmp_path / "x.sqlite", schema)
    await fill(database, schema)
    rows = await database.run("counting", lambda session: rows_of(session.connection()))
    assert [name for name, count in rows.items() if not count] == []
    await database.close()


@by_name
def test_tables_and_migrations_say_the_same(schema: Schema) -> None:
    assert schema.head == migrating.revisions(schema)[-1]
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        migrating.upgrade(connection, schema)
        migrating.upgrade(connection, schema)
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
    engine.dispose()


def test_a_newer_versions_file_is_refused_with_what_to_do_and_left_as_it_is(tmp_path: Path) -> None:
    path, schema = tmp_path / "network.sqlite", SCHEMAS[3]
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
        open_sqlite(path, SCHEMAS[3])
