"""What the databases promise whatever is in them (adapters/database/engine.py)."""

from pathlib import Path

import pytest
from sqlalchemy import Integer, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from tests.contract.conftest import Opened

from moorage.adapters.database.schema import Schema
from moorage.adapters.database.sqlite import open_sqlite
from moorage.domain.errors import Conflict, Full, Unavailable


class Tables(DeclarativeBase):
    pass


class Row(Tables):
    __tablename__ = "rows"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)


OURS = Schema("ours", Tables.metadata)


def insert(session: Session) -> None:
    session.add(Row(id=1))


def count(session: Session) -> int:
    return session.query(Row).count()


async def test_what_was_committed_is_there_when_it_is_opened_again(kept: Opened) -> None:
    async with kept(OURS) as database:
        await database.run("inserting", insert)
    async with kept(OURS) as database:
        assert await database.run("counting", count) == 1


async def test_what_raises_changes_nothing(opened: Opened) -> None:
    def fails(session: Session) -> None:
        insert(session)
        session.flush()
        raise RuntimeError("no")

    async with opened(OURS) as database:
        with pytest.raises(RuntimeError):
            await database.run("failing", fails)
        assert await database.run("counting", count) == 0


async def test_a_broken_constraint_is_a_conflict(opened: Opened) -> None:
    async with opened(OURS) as database:
        await database.run("inserting", insert)
        with pytest.raises(Conflict, match="inserting again"):
            await database.run("inserting again", insert)
        await database.check()


async def test_a_full_database_says_so_without_statements_and_links(tmp_path: Path) -> None:
    database = open_sqlite(tmp_path / "x.sqlite", OURS)
    await database.run("limiting", lambda session: session.execute(text("PRAGMA max_page_count = 1")))

    def fill(session: Session) -> None:
        session.add_all([Row(id=number) for number in range(10_000)])

    with pytest.raises(Full) as raised:
        await database.run("filling", fill)
    assert raised.value.message == "filling: the database cannot be written: database or disk is full (x.sqlite)"
    assert await database.run("counting", count) == 0
    await database.close()


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(Unavailable, match=f"^the database {path} is broken: file is not a database"):
        open_sqlite(path, OURS)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"opening .*x\.sqlite: the database cannot be written: unable to open"):
        open_sqlite(tmp_path / "absent" / "x.sqlite", OURS)
