"""The outbox's part of a transaction: news appended, taken, settled (hop told)."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session, aliased

from moorage.adapters.database.network_tables import DeadRow, OutboxRow, decoded, encoded
from moorage.domain.events import STATUS_EVENTS, DeadEvent, EventName, ExternalEvent, Judgement, OutboxItem, Verdict
from moorage.domain.ids import Generation

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


def append(
    session: Session,
    events: Sequence[ExternalEvent],
    generation: Generation | None,
    now: datetime,
    in_flight: Collection[int],
) -> bool:
    """Put events in, in place of what waits of their port and they outdate. False: there was nothing to put in."""
    for event in events:
        waiting = session.scalars(select(OutboxRow).where(OutboxRow.port == event.tag)).all()
        for row in waiting:
            if row.id not in in_flight and _outdates(event.name, row):
                session.delete(row)
        item = OutboxItem(id=0, event=event, made_at=now, generation=generation)
        session.add(OutboxRow(port=event.tag, is_status=event.name in STATUS_EVENTS, due=0, document=encoded(item)))
    return bool(events)


def _outdates(newer: EventName, waiting: OutboxRow) -> bool:
    """A status event replaces the status before it, `deleted` everything, `changed` is coalesced."""
    if newer is EventName.VIF_DELETED:
        return True
    return waiting.is_status is (newer in STATUS_EVENTS)


def take(session: Session, now: datetime, limit: int, in_flight: Collection[int]) -> list[OutboxItem]:
    due = _heads().where(OutboxRow.due <= _micros(now)).order_by(OutboxRow.id).limit(limit + len(in_flight))
    rows = [row for row in session.scalars(due) if row.id not in in_flight]
    return [replace(decoded(row.document, OutboxItem), id=row.id) for row in rows[:limit]]


def next_due(session: Session, now: datetime) -> datetime | None:
    found = session.scalar(_heads().with_only_columns(func.min(OutboxRow.due)))
    return None if found is None else max(now, _EPOCH + found * _US)


def settle(session: Session, judgements: Sequence[Judgement], now: datetime) -> None:
    for judgement in judgements:
        item = judgement.item
        row = session.get(OutboxRow, item.id)
        if row is None:
            continue
        if judgement.verdict is Verdict.AGAIN and not _is_overtaken(session, row):
            row.document = encoded(item)
            row.due = 0 if item.due_at is None else _micros(item.due_at)
            continue
        if judgement.verdict is Verdict.DEAD:
            dead = DeadEvent(item=item, reason=judgement.reason, died_at=now)
            session.add(DeadRow(id=item.id, document=encoded(dead)))
        session.execute(delete(OutboxRow).where(OutboxRow.id == row.id))


def dead(session: Session) -> list[DeadEvent]:
    return [decoded(row.document, DeadEvent) for row in session.scalars(select(DeadRow).order_by(DeadRow.id))]


def _heads() -> Select[OutboxRow]:
    """The oldest item of each port."""
    older = aliased(OutboxRow)
    is_older = select(older.id).where(older.port == OutboxRow.port, older.id < OutboxRow.id)
    return select(OutboxRow).where(~is_older.exists())


def _is_overtaken(session: Session, row: OutboxRow) -> bool:
    newer = select(OutboxRow).where(OutboxRow.port == row.port, OutboxRow.id > row.id)
    return any(_outdates(decoded(other.document, OutboxItem).event.name, row) for other in session.scalars(newer).all())


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _US
