"""SQLite, driven in place: one unit of work after the other, in files that are brought up to date when opened."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar
from weakref import finalize

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from moorage.adapters.database.bell import Bell, LocalBell
from moorage.adapters.database.schema import FIRST, Schema, note_revision, require_known, revision_of
from moorage.adapters.database.unit import Unit
from moorage.domain.errors import Conflict, Full, Invalid, MoorageError, Unavailable

log = structlog.get_logger(__name__)
T = TypeVar("T")

_TABLES = text("SELECT count(*) FROM sqlite_master")
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_UNWRITABLE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
_CURE = "use that version, another --state-dir, or delete it with `moorage down --purge`"


class SqliteDatabase:
    """Fulfils engine.Database in WAL mode: a commit takes 0.1-0.3 ms, less than a thread's round trip.

    A unit of work is never run again, and none runs beside another. One that nobody holds any more is closed.
    """

    def __init__(self, engine: Engine, path: Path | None) -> None:
        self._engine = engine
        self._connection = engine.connect()
        self._path = path
        finalize(self, engine.dispose)

    async def run(self, act: str, work: Callable[[Session], T]) -> T:
        with _in_our_words(act, self._path), self._connection.begin():
            unit = Unit(self._connection)
            result = work(unit)
            unit.end()
            return result

    def bell(self, name: str) -> Bell:
        return LocalBell()

    async def check(self) -> None:
        await self.run("reading the database", lambda session: session.execute(_TABLES))

    async def close(self) -> None:
        self._connection.close()
        self._engine.dispose()


def open_sqlite(path: Path | None, schema: Schema, *, is_durable: bool = False) -> SqliteDatabase:
    """The database in the file `path` (None: in memory), with its tables made, or brought up to date.

    What is brought up to date is kept as it was, beside it: NAME.REVISION.sqlite. Raises Invalid for a newer version's,
    Full or Unavailable for one that cannot be read and written. `is_durable`: a commit survives a power cut (FULL);
    otherwise it survives SIGKILL (NORMAL).
    """
    with _in_our_words(f"opening {path}", path):
        engine = _engine(path, is_durable=is_durable)
        try:
            with engine.begin() as connection:
                found = _revision(connection, schema, path)
        except Exception:
            engine.dispose()
            raise
        if found != schema.head:
            engine.dispose()
            assert path is not None
            assert found is not None
            _upgrade(path, schema, found)
            engine = _engine(path, is_durable=is_durable)
    return SqliteDatabase(engine, path)


def _engine(path: Path | None, *, is_durable: bool) -> Engine:
    url = f"sqlite:///{path}" if path is not None else "sqlite://"
    engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def settings(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={'FULL' if is_durable else 'NORMAL'}",
            "foreign_keys=ON",
            "busy_timeout=5000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


def _revision(connection: Connection, schema: Schema, path: Path | None) -> str | None:
    """The migration that the tables stand at, made if there are none. Raises Invalid for a file that is not ours."""
    mark = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if schema.head is None or mark == 0:
        schema.metadata.create_all(connection)
        if schema.head is not None:
            note_revision(connection, schema.head)
            _mark(connection, schema.head)
        return schema.head
    if mark == schema.first_mark:
        return FIRST
    found = revision_of(connection)
    if found is None:
        raise Invalid(
            f"{path} was made by another version of Moorage, and cannot be read by this one: "
            f"use another --state-dir, or delete it with `moorage down --purge`"
        )
    return found


def _mark(connection: Connection, revision: str) -> None:
    """For versions from before there were migrations: they know by it that the file is not theirs."""
    connection.exec_driver_sql(f"PRAGMA user_version = {int(revision)}")


def _upgrade(path: Path, schema: Schema, found: str) -> None:
    """Done to a copy that then takes the file's place, so that a crash at any line leaves one that is whole."""
    from moorage.adapters.database import migrating

    require_known(found, schema, migrating.revisions(schema), str(path), _CURE)
    kept, partial = path.with_suffix(f".{found}{path.suffix}"), path.with_suffix(f"{path.suffix}.new")
    partial.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(kept)) as copy:
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # a log left behind would be taken for the new file's
        old.backup(copy)
    shutil.copyfile(kept, partial)
    for file in (kept, partial):
        file.chmod(path.stat().st_mode & 0o777)
    engine = create_engine(f"sqlite:///{partial}", poolclass=StaticPool)
    with engine.begin() as connection:
        if revision_of(connection) is None:
            migrating.stamp(connection, schema, found)
        migrating.upgrade(connection, schema)
        assert schema.head is not None
        _mark(connection, schema.head)
    engine.dispose()
    partial.replace(path)
    log.info("a database was brought up to date; it is kept as it was", database=str(path), kept=str(kept))


@contextmanager
def _in_our_words(act: str, path: Path | None) -> Iterator[None]:
    """Ours in place of the database's errors, whose own text holds statements, values and a link."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:  # those of the PRAGMAs come as they are
        raise _ours(error, act, path) from error


def _ours(error: DBAPIError | sqlite3.Error, act: str, path: Path | None) -> MoorageError:
    said = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, IntegrityError):
        return Conflict(f"{act}: {said}")
    code = getattr(said, "sqlite_errorcode", 0) & 0xFF  # the rest of it says more than anyone can act on
    if code in _BROKEN:
        return Unavailable(
            f"the database {path} is broken: {said}. Bring back a copy of it, or begin anew: `moorage down --purge`"
        )
    kind = Full if code == sqlite3.SQLITE_FULL else Unavailable
    name = "" if path is None or str(path) in act else f" ({path.name})"
    return kind(f"{act}: the database cannot be {'written' if code in _UNWRITABLE else 'used'}: {said}{name}")
