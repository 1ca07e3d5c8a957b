"""What every teller of facts promises (seams/timeline.py): it never fails, keeps order, and says what it dropped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from moorage.adapters.buffered.timeline import GATHER, QUEUE, BufferedTimeline
from moorage.adapters.memory.bus import MemoryBus
from moorage.domain.errors import Unavailable
from moorage.domain.hops import Fact, Hop
from moorage.wire.messages import Done, Facts, Message

START = datetime(2026, 1, 1, tzinfo=UTC)


def fact(number: int) -> Fact:
    return Fact(Hop.ASKED, START + timedelta(seconds=number), float(number), "test")


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@asynccontextmanager
async def kept(bus: MemoryBus, *, after: float = 0.0) -> AsyncIterator[list[int]]:
    """The numbers of the facts that were kept, in their order; keeping a message takes `after` seconds."""
    numbers: list[int] = []

    async def handle(message: Message) -> Message:
        assert isinstance(message, Facts)
        await asyncio.sleep(after)
        numbers.extend(int(spec.monotonic) for spec in message.facts)
        return Done()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(bus.serve(QUEUE, handle))
        await asyncio.sleep(0)  # now the queue is there
        try:
            yield numbers
        finally:
            task.cancel()


async def test_closing_returns_when_the_last_facts_are_kept(bus: MemoryBus) -> None:
    timeline = BufferedTimeline(bus)
    async with kept(bus, after=0.05) as numbers:
        for number in range(1200):
            timeline.tell(fact(number))
        await timeline.close()
        assert numbers == list(range(1200))


async def test_what_is_being_sent_when_its_sender_is_cancelled_is_sent_all_the_same() -> None:
    class Slow(MemoryBus):
        async def cast(self, queue: str, message: Message) -> None:
            await asyncio.get_running_loop().create_future()

    bus = Slow()
    timeline = BufferedTimeline(bus)
    async with kept(bus) as numbers, asyncio.TaskGroup() as group:
        running = group.create_task(timeline.run())
        timeline.tell(fact(1))
        await asyncio.sleep(2 * GATHER)  # it is on its way
        running.cancel()
        timeline.tell(fact(2))
        await timeline.close()
        assert numbers == [1, 2]


async def test_closing_tries_again_while_it_has_time(bus: MemoryBus) -> None:
    timeline = BufferedTimeline(bus)
    timeline.tell(fact(1))
    async with kept(bus) as numbers, asyncio.TaskGroup() as group:
        group.create_task(bus.interrupt(0.15))
        await asyncio.sleep(0)
        await timeline.close()
        assert numbers == [1]


async def test_closing_is_bounded_where_nobody_keeps_facts(bus: MemoryBus) -> None:
    timeline = BufferedTimeline(bus)
    async with kept(bus):
        pass
    timeline.tell(fact(0))
    began = asyncio.get_running_loop().time()
    with capture_logs() as logs:
        await timeline.close(within=0.05)
    assert asyncio.get_running_loop().time() - began < 1
    assert [entry["event"] for entry in logs] == ["the last facts have not been kept in time"]


async def test_the_oldest_are_dropped_counted_and_logged_once(bus: MemoryBus) -> None:
    timeline = BufferedTimeline(bus, size=10)
    for number in range(13):
        timeline.tell(fact(number))
    async with kept(bus) as numbers:
        with capture_logs() as logs:
            await timeline.close()
            await timeline.close()
    assert numbers == list(range(3, 13))
    assert timeline.dropped == 3
    assert [entry["dropped"] for entry in logs] == [3]


async def test_facts_told_while_others_could_not_be_sent_are_not_dropped_for_them() -> None:
    """What comes back finds less room than it left: the oldest go, and are counted."""

    class Away(MemoryBus):
        async def cast(self, queue: str, message: Message) -> None:
            for number in range(100, 104):
                timeline.tell(fact(number))
            raise Unavailable("the bus is lost")

    bus = Away()
    timeline = BufferedTimeline(bus, size=10)
    for number in range(10):
        timeline.tell(fact(number))
    await timeline.flush()
    assert timeline.dropped == 4
    async with kept(bus) as numbers:
        await timeline.close()
    assert numbers == [*range(4, 10), *range(100, 104)]


async def test_what_could_not_be_sent_is_sent_once_the_bus_is_back(bus: MemoryBus) -> None:
    timeline = BufferedTimeline(bus)
    async with kept(bus) as numbers, asyncio.TaskGroup() as group:
        away = group.create_task(bus.interrupt(0.2))
        running = group.create_task(timeline.run())
        timeline.tell(fact(1))
        with capture_logs() as logs:
            await away
            async with asyncio.timeout(5):
                while not numbers:
                    await asyncio.sleep(0.01)
        assert numbers == [1]
        assert [entry["event"] for entry in logs] == ["facts cannot be sent; they wait"]
        running.cancel()
