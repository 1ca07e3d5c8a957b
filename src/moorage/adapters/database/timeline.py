"""The facts of boots in a table."""

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from sqlalchemy import Float, Index, Integer, String, delete, func, insert, or_, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from moorage.adapters.database.engine import Database
from moorage.adapters.database.schema import NUMBER, Schema
from moorage.adapters.database.times import micros, moment
from moorage.domain.hops import WORDS, Crossing, Fact
from moorage.domain.ids import Generation, HostName, PortId, ServerId


class TimelineTables(DeclarativeBase):
    """The timeline's own database."""


class FactRow(TimelineTables):
    __tablename__ = "facts"
    __table_args__ = (Index("facts_server", "server"), Index("facts_port", "port"))

    id: Mapped[int] = mapped_column(NUMBER, primary_key=True, autoincrement=True)
    what: Mapped[str] = mapped_column(String(32))
    wall: Mapped[float] = mapped_column(Float)  # microseconds since 1970, exact up to 2^53
    monotonic: Mapped[float] = mapped_column(Float)
    who: Mapped[str] = mapped_column(String(32))
    server: Mapped[str | None] = mapped_column(String(64))
    port: Mapped[str | None] = mapped_column(String(64))
    generation: Mapped[str | None] = mapped_column(String(64))
    attempt: Mapped[int | None] = mapped_column(Integer)
    host: Mapped[str | None] = mapped_column(String(255))
    detail: Mapped[str] = mapped_column(String, default="")
    bus: Mapped[str | None] = mapped_column(String)  # exchange, routing key and queue, as JSON


TIMELINE = Schema("timeline", TimelineTables.metadata, head="0002", first_mark=390646888)


@dataclass(frozen=True)
class DatabaseFactStore:
    database: Database

    async def add(self, facts: Sequence[Fact]) -> None:
        rows = [_values(fact) for fact in facts]

        def work(session: Session) -> None:
            session.execute(insert(FactRow), rows)

        if rows:
            await self.database.run("keeping facts", work)

    async def of(self, server: ServerId) -> Sequence[Fact]:
        def work(session: Session) -> list[Fact]:
            ports = select(FactRow.port).where(FactRow.server == server, FactRow.port.is_not(None)).distinct()
            own = or_(FactRow.server == server, FactRow.server.is_(None) & FactRow.port.in_(ports))
            rows = session.scalars(select(FactRow).where(own).order_by(FactRow.wall, FactRow.id))
            return [_fact(row) for row in rows]

        return await self.database.run("reading facts", work)

    async def forget(self, *, keep: int) -> int:
        def work(session: Session) -> int:
            newest = session.scalar(select(func.max(FactRow.id))) or 0
            gone = session.execute(delete(FactRow).where(FactRow.id <= newest - keep).returning(FactRow.id))
            return len(gone.all())

        return await self.database.run("forgetting facts", work)


def _values(fact: Fact) -> dict[str, object]:
    return {
        "what": fact.what.value,
        "wall": float(micros(fact.wall)),
        "monotonic": fact.monotonic,
        "who": fact.who,
        "server": fact.server,
        "port": fact.port,
        "generation": fact.generation,
        "attempt": fact.attempt,
        "host": fact.host,
        "detail": fact.detail,
        "bus": None if fact.bus is None else json.dumps(astuple(fact.bus)),
    }


def _fact(row: FactRow) -> Fact:
    return Fact(
        what=WORDS[row.what],
        wall=moment(int(row.wall)),
        monotonic=row.monotonic,
        who=row.who,
        server=ServerId(row.server) if row.server else None,
        port=PortId(row.port) if row.port else None,
        generation=Generation(row.generation) if row.generation else None,
        attempt=row.attempt,
        host=HostName(row.host) if row.host else None,
        detail=row.detail,
        bus=None if row.bus is None else Crossing(*json.loads(row.bus)),
    )
