"""A unit of work that is a Session only where rows become objects."""

from collections.abc import Iterator
from typing import cast

import pytest
from sqlalchemy import Connection, Table, bindparam, create_engine, func, insert, select, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column

from moorage.adapters.database.unit import Unit


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "rows"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


ROWS = cast(Table, Row.__table__)


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        Base.metadata.create_all(connection)
        connection.execute(insert(ROWS), [{"id": 1, "name": "one"}])
        connection.commit()
        connection.begin()
        yield connection
    engine.dispose()


NAMES = select(Row.name).order_by(Row.id)


def test_columns_sums_and_texts_need_no_session(connection: Connection) -> None:
    unit = Unit(connection)
    assert unit.scalars(NAMES).all() == ["one"]
    assert unit.execute(select(Row.id, Row.name).where(Row.id == bindparam("of")), {"of": 1}).one() == (1, "one")
    assert unit.scalar(select(func.count()).select_from(Row)) == 1
    assert unit.scalar(text("SELECT 1")) == 1
    other = aliased(Row)
    assert unit.scalars(select(Row.id).where(~select(other.id).where(other.id < Row.id).exists())).all() == [1]
    unit.execute(update(ROWS).where(ROWS.c.id == 1).values(name="uno"))
    assert unit.get_bind() is connection
    assert "identity_map" not in unit.__dict__
    unit.end()
    assert connection.execute(NAMES).scalars().all() == ["uno"]


def test_objects_are_given_changed_and_found(connection: Connection) -> None:
    unit = Unit(connection)
    unit.add(Row(id=2, name="two"))
    assert unit.scalars(NAMES).all() == ["one", "two"]  # written before it is read
    [two] = unit.scalars(select(Row).where(Row.id == 2))
    two.name = "dos"
    assert unit.scalar(select(Row.name).where(Row.id == 2)) == "dos"
    found = unit.get(Row, 1)
    assert found is not None
    found.name = "uno"
    unit.end()
    assert connection.execute(NAMES).scalars().all() == ["uno", "dos"]
    assert connection.in_transaction()  # whose it is


def test_a_change_of_a_class_is_the_sessions(connection: Connection) -> None:
    unit = Unit(connection)
    [one] = unit.scalars(select(Row))
    unit.execute(update(Row).where(Row.id == 1).values(name="uno"))
    assert one.name == "uno"
    unit.end()


def test_what_is_given_up_leaves_nothing(connection: Connection) -> None:
    unit = Unit(connection)
    unit.add(Row(id=2, name="two"))
    unit.execute(update(ROWS).values(name="x"))
    connection.rollback()
    assert connection.execute(NAMES).scalars().all() == ["one"]


def test_it_has_nothing_that_a_session_has_not(connection: Connection) -> None:
    with pytest.raises(AttributeError):
        _ = Unit(connection).no_such_thing
