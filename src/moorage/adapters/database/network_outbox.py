"""The outbox's part of a transaction: news appended, taken, settled (hop told)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import cast

from sqlalchemy import ColumnElement, Table, bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session, aliased

from moorage.adapters.database.network_tables import DeadRow, OutboxRow, decoded, encoded
from moorage.adapters.database.times import micros, moment
from moorage.domain.events import STATUS_EVENTS, DeadEvent, EventName, ExternalEvent, Judgement, OutboxItem, Verdict
from moorage.domain.ids import Generation
from moorage.seams.network_store import Backlog


def append(session: Session, events: Sequence[ExternalEvent], generation: Generation | None, now: datetime) -> bool:
    """Put events in, in place of what waits of their port and they outdate. False: there was nothing to put in.

    What is taken is not replaced. News of one port comes in one transaction after the other: its port's row is locked.
    """
    for event in events:
        is_status = event.name in STATUS_EVENTS
        outdated = _OUTDATE_ALL if event.name is EventName.VIF_DELETED else _OUTDATE
        session.execute(outdated, {"of": event.tag, "kind": is_status})
        item = OutboxItem(id=0, event=event, made_at=now, generation=generation)
        row = {"port": event.tag, "is_status": is_status, "due": 0, "document": encoded(item)}
        session.execute(_INSERT, row)
    return bool(events)


def _outdates(newer: EventName, *, is_status: bool) -> bool:
    """A status event replaces the status before it, `deleted` everything, `changed` is coalesced."""
    if newer is EventName.VIF_DELETED:
        return True
    return is_status is (newer in STATUS_EVENTS)


def take(session: Session, now: datetime, limit: int, me: int) -> list[OutboxItem]:
    """What others are just taking is passed over, not waited for.

    Nor is the disk: a crash that loses this commit loses who had taken it as well, and it is taken again.
    """
    rows = session.execute(_DUE, {"now": micros(now), "limit": limit}).all()
    if rows:
        is_on_postgresql = session.get_bind().dialect.name == "postgresql"
        taking = _TAKE_LIGHTLY if is_on_postgresql else _TAKE
        session.execute(taking, {"ids": [number for number, _ in rows], "me": me})
    return [replace(decoded(document, OutboxItem), id=number) for number, document in rows]


def free(session: Session, whose: ColumnElement[bool]) -> None:
    """What was taken by those of whom `whose` is true, and not settled, can be taken again."""
    session.execute(update(_OUTBOX).where(_OUTBOX.c.taken_by.is_not(None), whose).values(taken_by=None))


def next_due(session: Session, now: datetime) -> datetime | None:
    found = session.scalar(_NEXT)
    return None if found is None else max(now, moment(found))


def settle(session: Session, judgements: Sequence[Judgement], now: datetime, dead_kept: int, me: int) -> None:
    """What somebody else has taken meanwhile, because we were thought gone, is theirs to settle."""
    has_died = False
    for judgement in judgements:
        item = judgement.item
        if judgement.verdict is Verdict.AGAIN and not _is_overtaken(session, item):
            due = 0 if item.due_at is None else micros(item.due_at)
            session.execute(_PUT_BACK, {"of": item.id, "me": me, "due": due, "document": encoded(item)})
            continue
        is_mine = session.execute(_DELETE, {"of": item.id, "me": me}).rowcount > 0  # type: ignore[attr-defined]
        if is_mine and judgement.verdict is Verdict.DEAD:
            dead = DeadEvent(item=item, reason=judgement.reason, died_at=now)
            session.execute(_BURY, {"document": encoded(dead)})
            has_died = True
    if has_died:
        session.execute(_FORGET, {"kept": dead_kept})


def dead(session: Session, limit: int) -> list[DeadEvent]:
    return [decoded(document, DeadEvent) for document in session.scalars(_DEAD, {"limit": limit})]


def backlog(session: Session) -> Backlog:
    oldest = session.scalar(_OLDEST)
    return Backlog(
        waiting=session.scalar(_COUNT_WAITING) or 0,
        oldest=None if oldest is None else decoded(oldest, OutboxItem).made_at,
        dead=session.scalar(_COUNT_DEAD) or 0,
    )


def _is_overtaken(session: Session, item: OutboxItem) -> bool:
    is_status = item.event.name in STATUS_EVENTS
    newer = session.scalars(_NEWER, {"port": item.event.tag, "of": item.id}).all()
    return any(_outdates(decoded(one, OutboxItem).event.name, is_status=is_status) for one in newer)


# Statements are made once: to make one takes longer than to run it.
_OUTBOX = cast(Table, OutboxRow.__table__)
_INSERT = insert(_OUTBOX)
_IS_MINE = (_OUTBOX.c.id == bindparam("of"), _OUTBOX.c.taken_by == bindparam("me"))
_PUT_BACK = update(_OUTBOX).where(*_IS_MINE).values(taken_by=None, due=bindparam("due"), document=bindparam("document"))
_DELETE = delete(_OUTBOX).where(*_IS_MINE)
TAKEN_BY = _OUTBOX.c.taken_by
_IS_FREE = TAKEN_BY.is_(None)
_OUTDATE_ALL = delete(_OUTBOX).where(_OUTBOX.c.port == bindparam("of"), _IS_FREE)
_OUTDATE = _OUTDATE_ALL.where(_OUTBOX.c.is_status == bindparam("kind"))
_NEWER = select(OutboxRow.document).where(OutboxRow.port == bindparam("port"), OutboxRow.id > bindparam("of"))
_OLDER = aliased(OutboxRow)
_IS_HEAD = ~select(_OLDER.id).where(_OLDER.port == OutboxRow.port, _OLDER.id < OutboxRow.id).exists()
_DUE = (
    select(OutboxRow.id, OutboxRow.document)
    .where(_IS_HEAD, _IS_FREE, OutboxRow.due <= bindparam("now"))
    .order_by(OutboxRow.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_TAKE = update(_OUTBOX).where(_OUTBOX.c.id.in_(bindparam("ids", expanding=True))).values(taken_by=bindparam("me"))
_TAKE_LIGHTLY = _TAKE.returning(func.set_config("synchronous_commit", "off", True))  # for this transaction alone
_DEAD_EVENTS = cast(Table, DeadRow.__table__)
_BURY = insert(_DEAD_EVENTS)  # ids are given in the order of dying
_DEAD = select(DeadRow.document).order_by(DeadRow.id.desc()).limit(bindparam("limit"))
_FIRST_FORGOTTEN = select(DeadRow.id).order_by(DeadRow.id.desc()).limit(1).offset(bindparam("kept")).scalar_subquery()
_FORGET = delete(_DEAD_EVENTS).where(_DEAD_EVENTS.c.id <= _FIRST_FORGOTTEN)
_OLDEST = select(OutboxRow.document).order_by(OutboxRow.id).limit(1)
_COUNT_WAITING = select(func.count()).select_from(OutboxRow)
_COUNT_DEAD = select(func.count()).select_from(DeadRow)
_NEXT = select(func.min(OutboxRow.due)).where(_IS_HEAD, _IS_FREE)
