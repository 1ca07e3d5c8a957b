"""The notifier: takes news from the outbox and tells compute until it is delivered or dead (hop told)."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Never

import structlog

from moorage.domain.errors import Unavailable
from moorage.domain.events import (
    EventName,
    Judgement,
    OutboxItem,
    Verdict,
    delay_after,
    goes_alone,
    is_forgotten,
    judge,
    refused,
)
from moorage.domain.hops import Fact, Hop
from moorage.domain.news import still_says
from moorage.seams.clock import Clock
from moorage.seams.external_events import Answer, ExternalEvents
from moorage.seams.network_store import NetworkStore, Outbox
from moorage.seams.timeline import Timeline

log = structlog.get_logger(__name__)
MOST = 100  # events in one request
LOOK_AGAIN_AFTER = 0.5  # seconds, for an outbox that cannot be reached


class Notifier:
    """The first event leaves at once; more go together only when they came while a request was in flight."""

    def __init__(
        self,
        outbox: Outbox,
        store: NetworkStore,
        external_events: ExternalEvents,
        clock: Clock,
        timeline: Timeline,
    ) -> None:
        self._outbox = outbox
        self._store = store
        self._external_events = external_events
        self._clock = clock
        self._timeline = timeline
        self._failures = 0  # whole requests in a row that nobody could take
        self._took_at: datetime | None = None  # when compute last took a request
        self._alone_from = clock.now()  # when an event may be sent alone again: not at once after one has failed
        self._is_alarmed = False

    async def run(self) -> Never:
        """Deliver until cancelled. What was taken and not settled, by a crash or a lost outbox, is sent again."""
        is_reached = True
        while True:
            try:
                await self._outbox.untake()
                is_reached = True
                await self._deliver_all()
            except Unavailable as error:
                if is_reached:
                    log.warning("the outbox cannot be reached; news waits in it", why=error.message)
                is_reached = False
                await asyncio.sleep(LOOK_AGAIN_AFTER)

    async def _deliver_all(self) -> Never:
        while True:
            items = await self._outbox.take(self._clock.now(), MOST)
            if items:
                await self._deliver(await self._still_wanted(items))
            else:
                await self._outbox.untake()  # what is in flight now is nobody's: the answer to a `take` was lost
                await self._more()

    async def _more(self) -> None:
        """Returns when the outbox may have something to take."""
        now = self._clock.now()
        due = await self._outbox.next_due(now)
        try:
            async with asyncio.timeout(None if due is None else (due - now).total_seconds()):
                await self._outbox.appended()
        except TimeoutError:
            return

    async def _still_wanted(self, items: Sequence[OutboxItem]) -> Sequence[OutboxItem]:
        now = self._clock.now()
        old = [item for item in items if is_forgotten(item, now)]
        if old:
            dead = [Judgement(Verdict.DEAD, item, "it grew too old before it could be delivered") for item in old]
            await self._settle(dead)
        return [item for item in items if item not in old]

    async def _deliver(self, items: Sequence[OutboxItem]) -> None:
        """One try for each: together first, then one by one those that must go alone, until one of these fails."""
        together = [item for item in items if not goes_alone(item)]
        alone = sorted(filter(goes_alone, items), key=lambda item: item.refused)  # the likely culprits last
        if together and not await self._tell(together):
            await self._put_off(alone)
            return
        while alone and self._clock.now() >= self._alone_from:
            item = alone.pop(0)
            if not await self._tell([item]):
                self._alone_from = self._clock.now() + delay_after(self._failures - 1)
        if alone:
            await self._put_off(alone)

    async def _tell(self, items: Sequence[OutboxItem]) -> bool:
        """False when compute has read none of them."""
        answer = await self._post(items)
        if answer.status in (400, 413) and not answer.codes and len(items) > 1:
            log.warning("compute refuses a whole request: its events go one by one", status=answer.status)
            return all([await self._tell([item]) for item in items])
        codes = _codes(answer, len(items))
        if codes is None:
            await self._not_taken(items, answer)
            return False
        self._failures = 0
        self._took_at = self._clock.now()
        if self._is_alarmed:
            self._is_alarmed = False
            log.info("compute takes events again")
        await self._settle(await self._judged(items, codes))
        return True

    async def _post(self, items: Sequence[OutboxItem]) -> Answer:
        """Compute's answer; of status 0 when nobody answered."""
        wall, monotonic = self._clock.now(), self._clock.monotonic()
        for item in items:
            if item.event.name is EventName.VIF_PLUGGED:
                self._timeline.tell(_told(item, Fact(Hop.TOLD, wall, monotonic, "network")))
        try:
            return await self._external_events.post([item.event for item in items])
        except Unavailable as error:
            return Answer(status=0, reason=error.message)

    async def _judged(self, items: Sequence[OutboxItem], codes: Sequence[int]) -> Sequence[Judgement]:
        now = self._clock.now()
        homeless = [item.event.tag for item, code in zip(items, codes, strict=True) if code == 422]
        ports = {port.id: port for port in await self._store.ports(None, ids=homeless)} if homeless else {}
        return [
            judge(item, code, now, still_so=code != 422 or still_says(item.event, ports.get(item.event.tag)))
            for item, code in zip(items, codes, strict=True)
        ]

    async def _settle(self, judgements: Sequence[Judgement]) -> None:
        for judgement in judgements:
            if judgement.verdict is Verdict.DEAD:
                event = judgement.item.event
                log.warning(
                    "an event is given up",
                    event_name=event.name,
                    server=event.server,
                    port=event.tag,
                    why=judgement.reason,
                )
        await self._outbox.settle(judgements, self._clock.now())

    async def _not_taken(self, items: Sequence[OutboxItem], answer: Answer) -> None:
        """They stay for ever, somebody can mend it: an alarm, once, and a pause that grows.

        When compute failed at what it read (5xx), one of the events may be why: each waits by itself, and the others'
        news goes on. Otherwise nobody can be told anything now.
        """
        pause = delay_after(self._failures)
        self._failures += 1
        now = self._clock.now()
        if answer.status >= 500:
            is_cause = len(items) == 1 and self._is_cause(items[0])
            self._alarm(items, answer, is_cause=is_cause)
            await self._settle([refused(item, now, is_cause=is_cause) for item in items])
            return
        self._alarm(items, answer, is_cause=False)
        await self._settle(
            [Judgement(Verdict.AGAIN, replace(item, tries=item.tries + 1, due_at=None)) for item in items]
        )
        await asyncio.sleep(pause.total_seconds())

    def _is_cause(self, item: OutboxItem) -> bool:
        """Whether it fails by itself: it failed before, and others were taken since."""
        return item.refused_at is not None and self._took_at is not None and self._took_at > item.refused_at

    def _alarm(self, items: Sequence[OutboxItem], answer: Answer, *, is_cause: bool) -> None:
        """Once until compute takes something again, and once for an event that alone is the cause."""
        if is_cause and not items[0].is_blamed:
            event = items[0].event
            log.error(
                "compute fails at one event, and takes others; it is kept",
                event_name=event.name,
                server=event.server,
                port=event.tag,
                status=answer.status,
                why=answer.reason,
            )
        elif not is_cause and not self._is_alarmed and not any(item.is_blamed for item in items):
            self._is_alarmed = True
            log.error("compute does not take events; they are kept", status=answer.status, why=answer.reason)

    async def _put_off(self, items: Sequence[OutboxItem]) -> None:
        """Until events are sent alone again; they were not tried."""
        await self._settle([Judgement(Verdict.AGAIN, replace(item, due_at=self._alone_from)) for item in items])


def _codes(answer: Answer, count: int) -> Sequence[int] | None:
    """An answer code for each event; None for an answer that says nothing of any event."""
    if len(answer.codes) == count:
        return answer.codes
    if answer.status == 200 and not answer.codes:
        return [200] * count
    if answer.status in (400, 413):
        return [400] * count
    return None


def _told(item: OutboxItem, fact: Fact) -> Fact:
    return replace(fact, server=item.event.server, port=item.event.tag, generation=item.generation)
