"""What the databases promise whatever is in them (adapters/database/engine.py)."""

from pathlib import Path

import pytest
from sqlalchemy import Integer
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from moorage.adapters.database.engine import open_sqlite
from moorage.domain.errors import Conflict, Invalid


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
