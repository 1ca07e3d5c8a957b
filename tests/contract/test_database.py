"""What the databases promise whatever is in them (adapters/database/engine.py)."""

from pathlib import Path

import pytest
from sqlalchemy import Integer, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from moorage.adapters.database.engine import open_sqlite
from moorage.domain.errors import Conflict, Full, Invalid, Unavailable


class Ours(DeclarativeBase):
    pass


class Row(Ours):
    __tablename__ = "rows"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)


class Newer(DeclarativeBase):
    pass


class NewerRow(Newer):
    __tablename__ = "rows"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    more: Mapped[int] = mapped_column(Integer)


def insert(session: Session) -> None:
    session.add(Row(id=1))


def count(session: Session) -> int:
    return session.query(Row).count()


async def test_what_was_committed_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    for _ in range(2):
        database = open_sqlite(tmp_path / "x.sqlite", Ours)
        if await database.run("counting", count) == 0:
            await database.run("inserting", insert)
        database.close()
    database = open_sqlite(tmp_path / "x.sqlite", Ours)
    assert await database.run("counting", count) == 1
    database.close()


async def test_what_raises_changes_nothing(tmp_path: Path) -> None:
    database = open_sqlite(tmp_path / "x.sqlite", Ours)

    def fails(session: Session) -> None:
        insert(session)
        session.flush()
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await database.run("failing", fails)
    assert await database.run("counting", count) == 0
    database.close()


async def test_a_broken_constraint_is_a_conflict(tmp_path: Path) -> None:
    database = open_sqlite(tmp_path / "x.sqlite", Ours)
    await database.run("inserting", insert)
    with pytest.raises(Conflict, match="inserting again"):
        await database.run("inserting again", insert)
    database.close()


def test_another_versions_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    open_sqlite(tmp_path / "x.sqlite", Ours).close()
    with pytest.raises(Invalid, match=r"another version of Moorage.*--purge"):
        open_sqlite(tmp_path / "x.sqlite", Newer)


async def test_a_full_database_says_so_without_statements_and_links(tmp_path: Path) -> None:
    database = open_sqlite(tmp_path / "x.sqlite", Ours)
    await database.run("limiting", lambda session: session.execute(text("PRAGMA max_page_count = 1")))

    def fill(session: Session) -> None:
        session.add_all([Row(id=number) for number in range(10_000)])

    with pytest.raises(Full) as raised:
        await database.run("filling", fill)
    assert raised.value.message == "filling: the database cannot be written: database or disk is full (x.sqlite)"
    assert await database.run("counting", count) == 0
    database.close()


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(Unavailable, match=f"^the database {path} is broken: file is not a database"):
        open_sqlite(path, Ours)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"opening .*x\.sqlite: the database cannot be written: unable to open"):
        open_sqlite(tmp_path / "absent" / "x.sqlite", Ours)
