"""The notifier: takes news from the outbox and tells compute until it is delivered or dead (hop told)."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Never

import structlog

from moorage.domain.errors import Unavailable
from moorage.domain.events import EventName, Judgement, OutboxItem, Verdict, delay_after, is_forgotten, judge
from moorage.domain.hops import Fact, Hop
from moorage.domain.news import still_says
from moorage.seams.clock import Clock
from moorage.seams.external_events import Answer, ExternalEvents
from moorage.seams.network_store import NetworkStore, Outbox
from moorage.seams.timeline import Timeline

log = structlog.get_logger(__name__)
MOST = 100  # events in one request


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

    async def run(self) -> Never:
        """Deliver until cancelled. What was taken before and not settled is sent again."""
        await self._outbox.untake()
        while True:
            items = await self._outbox.take(self._clock.now(), MOST)
            if items:
                await self._deliver(await self._still_wanted(items))
            else:
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
        if not items:
            return
        answer = await self._post(items)
        if answer.status in (400, 413) and not answer.codes and len(items) > 1:
            log.warning("compute refuses a whole request: its events go one by one", status=answer.status)
            for item in items:
                await self._deliver([item])
            return
        codes = _codes(answer, len(items))
        if codes is None:
            await self._wait_for_compute(items, answer)
            return
        if self._failures:
            log.info("compute takes events again", failures=self._failures)
            self._failures = 0
        await self._settle(await self._judged(items, codes))

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

    async def _wait_for_compute(self, items: Sequence[OutboxItem], answer: Answer) -> None:
        """Nobody took them: an alarm, once, and a pause that grows. They stay for ever, somebody can mend it."""
        if not self._failures:
            log.error("compute does not take events; they are kept", status=answer.status, why=answer.reason)
        pause = delay_after(self._failures)
        self._failures += 1
        again = [Judgement(Verdict.AGAIN, replace(item, tries=item.tries + 1, due_at=None)) for item in items]
        await self._outbox.settle(again, self._clock.now())
        await asyncio.sleep(pause.total_seconds())


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
