"""External events: what the network tells compute about a server's ports, and how an answer to one is judged."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from moorage.domain.ids import Generation, PortId, ServerId


class EventName(StrEnum):
    VIF_PLUGGED = "network-vif-plugged"
    VIF_UNPLUGGED = "network-vif-unplugged"
    VIF_DELETED = "network-vif-deleted"
    CHANGED = "network-changed"


class EventStatus(StrEnum):
    COMPLETED = "completed"
    FAILED = "failed"
    IN_PROGRESS = "in-progress"


STATUS_EVENTS = frozenset({EventName.VIF_PLUGGED, EventName.VIF_UNPLUGGED, EventName.VIF_DELETED})


@dataclass(frozen=True)
class ExternalEvent:
    """One entry of POST os-server-external-events; `tag` is the port."""

    name: EventName
    server: ServerId
    tag: PortId
    status: EventStatus | None = EventStatus.COMPLETED  # None is not sent (network-changed)


@dataclass(frozen=True)
class OutboxItem:
    """An event that waits to be delivered. `id` orders the events of one port."""

    id: int
    event: ExternalEvent
    made_at: datetime
    tries: int = 0
    not_found: int = 0  # answers 404 so far
    first_not_found_at: datetime | None = None
    due_at: datetime | None = None  # None: at once
    generation: Generation | None = None  # that the port was bound in when the event was made
    refused: int = 0  # whole requests with it that compute failed at (5xx)
    refused_at: datetime | None = None  # the last of them
    is_blamed: bool = False  # it failed alone, while others were taken


@dataclass(frozen=True)
class DeadEvent:
    """An event that will not be delivered any more, and why."""

    item: OutboxItem
    reason: str
    died_at: datetime


class Verdict(StrEnum):
    DELIVERED = "delivered"
    AGAIN = "again"
    DEAD = "dead"


@dataclass(frozen=True)
class Judgement:
    """What to do with an item after an answer, and why."""

    verdict: Verdict
    item: OutboxItem
    reason: str = ""


FORGOTTEN_AFTER = {  # news that nobody needs any more when it is this old
    EventName.CHANGED: timedelta(seconds=60),
    EventName.VIF_DELETED: timedelta(minutes=10),
    EventName.VIF_UNPLUGGED: timedelta(minutes=10),
}
NOT_FOUND_TRIES = 3
NOT_FOUND_WITHIN = timedelta(seconds=30)
REFUSED_TOGETHER = 2  # requests that failed (5xx), after which an event is sent alone: it may be the cause
FIRST_DELAY = timedelta(milliseconds=100)
LONGEST_DELAY = timedelta(seconds=5)


def delay_after(tries: int) -> timedelta:
    """How long to wait before the next try: 0.1 s, doubling, at most 5 s."""
    return min(FIRST_DELAY * (1 << min(tries, 10)), LONGEST_DELAY)


def judge(item: OutboxItem, code: int, now: datetime, *, still_so: bool = True) -> Judgement:
    """What becomes of `item` after its own answer `code` (200, 400, 404, 422 …).

    `still_so`: whether the port still is what the event says; asked only for 422 (no host yet, or no longer).
    """
    tried = replace(item, tries=item.tries + 1, due_at=now + delay_after(item.tries))
    if 200 <= code < 300:
        return Judgement(Verdict.DELIVERED, tried)
    if is_forgotten(item, now):
        return Judgement(Verdict.DEAD, tried, f"answered {code}, and nobody needs {item.event.name} any more")
    if code == 404:
        tried = replace(tried, not_found=item.not_found + 1, first_not_found_at=item.first_not_found_at or now)
        # three answers, spread over the 30 s that a server may need to show up in every cell
        spread = NOT_FOUND_WITHIN / (NOT_FOUND_TRIES - 1)
        tried = replace(tried, due_at=now + spread)
        if tried.not_found >= NOT_FOUND_TRIES:
            return Judgement(Verdict.DEAD, tried, "compute knows no such server (404, three times)")
        return Judgement(Verdict.AGAIN, tried, "404")
    if code == 422:
        if still_so:
            return Judgement(Verdict.AGAIN, tried, "the server has no host (422)")
        return Judgement(Verdict.DEAD, tried, "the server has no host (422), and the port has moved on")
    if code == 400:
        return Judgement(Verdict.DEAD, tried, "compute cannot read this event (400)")
    return Judgement(Verdict.AGAIN, tried, f"answered {code}")


def refused(item: OutboxItem, now: datetime, *, is_cause: bool = False) -> Judgement:
    """What becomes of `item` after compute failed (5xx) at the whole request: again, each time later."""
    again = replace(
        item,
        tries=item.tries + 1,
        due_at=now + delay_after(item.refused),
        refused=item.refused + 1,
        refused_at=now,
        is_blamed=item.is_blamed or is_cause,
    )
    return Judgement(Verdict.AGAIN, again, "compute failed at its request")


def goes_alone(item: OutboxItem) -> bool:
    """Whether it must not be in a request with others, which it might take down with it."""
    return item.refused >= REFUSED_TOGETHER


def is_forgotten(item: OutboxItem, now: datetime) -> bool:
    """Whether the event is so old that nobody needs it any more; a plugged event never is."""
    limit = FORGOTTEN_AFTER.get(item.event.name)
    return limit is not None and now - item.made_at > limit
