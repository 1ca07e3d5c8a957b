"""A broker that is killed, stopped or cut off: what it had taken is handled, what it had not is known to its sender."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aio_pika
import pytest
from tests.rabbitmq import a_broker, a_vhost, a_wired_bus, restart, running, url

from moorage.adapters.rabbitmq.broker import PrivateBroker
from moorage.adapters.rabbitmq.bus import SETTLE, TAKEN_WITHIN, RabbitBus
from moorage.adapters.rabbitmq.connecting import HEARTBEAT
from moorage.adapters.rabbitmq.dead_letters import RabbitDeadLetters
from moorage.adapters.rabbitmq.link import PROBE_EVERY, PROBE_WITHIN
from moorage.adapters.rabbitmq.serving import MOST_DEATHS
from moorage.adapters.rabbitmq.settings import RabbitSettings
from moorage.domain.errors import Unavailable
from moorage.seams.bus import Bus, Handler
from moorage.wire.messages import ConsoleWanted, DoJob, Done, Message

QUEUE = "compute.host-1"
SLACK = 2.0  # seconds, on a machine that does other things too


@pytest.fixture(scope="module")
def mortal() -> Iterator[PrivateBroker]:
    """A broker that may be killed: whoever does starts it again."""
    with a_broker() as running:
        yield running


@dataclass
class Sender:
    """Casts one job after the other, and knows what became of each."""

    bus: Bus
    taken: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    slowest: float = 0.0  # seconds

    async def run(self) -> None:
        loop, number = asyncio.get_running_loop(), 0
        while True:
            number += 1
            began = loop.time()
            try:
                await self.bus.cast(QUEUE, DoJob(server=str(number)))
                self.taken.append(str(number))
            except Unavailable:
                self.refused.append(str(number))
                await asyncio.sleep(0.01)
            self.slowest = max(self.slowest, loop.time() - began)

    async def taken_more(self, count: int) -> None:
        before = len(self.taken)
        async with asyncio.timeout(15):
            while len(self.taken) < before + count:
                await asyncio.sleep(0.01)


@dataclass
class Receiver:
    handled: set[str] = field(default_factory=set)

    async def handle(self, message: Message) -> Message:
        if isinstance(message, DoJob):
            self.handled.add(message.server)
        return Done()

    async def has(self, jobs: list[str]) -> None:
        async with asyncio.timeout(15):
            while not set(jobs) <= self.handled:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def served(bus: Bus, handler: Handler, queue: str = QUEUE) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(bus.serve(queue, handler))
        try:
            await answers(bus, queue)
            yield
        finally:
            task.cancel()


async def answers(bus: Bus, queue: str = QUEUE, *, within: float = 15.0) -> None:
    """Returns when the queue is there, and whoever serves it answers."""
    async with asyncio.timeout(within):
        while True:
            with suppress(Unavailable):
                await bus.call(queue, ConsoleWanted(server="are you there?"), timeout=3)
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def sending(bus: Bus) -> AsyncIterator[Sender]:
    sender = Sender(bus)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(sender.run())
        try:
            await sender.taken_more(20)
            yield sender
        finally:
            task.cancel()


@pytest.mark.timeout(60)
async def test_a_broker_that_is_killed_loses_nothing_that_it_had_taken(mortal: PrivateBroker) -> None:
    """Calls under way fail at once, casts that it has not taken are refused in time, all servers are there again."""
    begun, loop = asyncio.Event(), asyncio.get_running_loop()
    receiver, vhost = Receiver(), a_vhost(mortal)

    async def hangs(message: Message) -> Message:
        if message == ConsoleWanted(server="hang"):
            begun.set()
            await loop.create_future()
        return Done()

    late = RabbitBus(RabbitSettings(url(mortal, vhost)))
    async with a_wired_bus(mortal, vhost, settle=SETTLE) as bus, served(bus, hangs, "compute.other"):
        async with served(bus, receiver.handle):
            pass  # the queue is there, and all that is taken from now on waits in it
        call = asyncio.ensure_future(bus.call("compute.other", ConsoleWanted(server="hang"), timeout=60))
        await begun.wait()
        async with sending(bus) as sender:
            back, began = bus.reconnects(), loop.time()
            await asyncio.to_thread(mortal.stop)
            with pytest.raises(Unavailable, match="lost"):
                await call
            assert loop.time() - began < SLACK
            starting = asyncio.ensure_future(asyncio.to_thread(restart, mortal))
            async with running(late):  # from when there was no broker
                await anext(back)
                await sender.taken_more(5)
                await answers(late, "compute.other")
            await starting
        assert sender.refused
        assert sender.slowest < TAKEN_WITHIN + SLACK
        async with served(bus, receiver.handle):
            await receiver.has(sender.taken)


@pytest.mark.timeout(60)
async def test_a_broker_that_dies_just_after_it_has_made_a_queue_harms_nothing(mortal: PrivateBroker) -> None:
    """RabbitMQ 3.10 forgets it then, and never serves it again: nothing was sent to it, and it is made anew."""
    receiver = Receiver()
    async with a_wired_bus(mortal, a_vhost(mortal), settle=1.0) as bus, asyncio.TaskGroup() as group:
        server = group.create_task(bus.serve(QUEUE, receiver.handle))
        await asyncio.sleep(0.3)
        with pytest.raises(Unavailable, match="nobody has served"):
            await bus.cast(QUEUE, DoJob(server="too early"))
        assert bus.not_served() == [QUEUE]
        back = bus.reconnects()
        await asyncio.to_thread(restart, mortal)
        await anext(back)
        await answers(bus, within=50)
        assert bus.not_served() == []
        await bus.cast(QUEUE, DoJob(server="s"))
        await receiver.has(["s"])
        server.cancel()


async def test_a_broker_that_is_stopped_is_found_out_and_comes_back(mortal: PrivateBroker) -> None:
    """Its connections stay open, and nothing comes from it."""
    receiver, loop = Receiver(), asyncio.get_running_loop()
    async with a_wired_bus(mortal, a_vhost(mortal)) as bus, served(bus, receiver.handle), sending(bus) as sender:
        back = bus.reconnects()
        mortal.pause()
        try:
            began = loop.time()
            with pytest.raises(Unavailable):
                await bus.call(QUEUE, ConsoleWanted(server="s"), timeout=1)
            assert loop.time() - began < 1 + SLACK
            while bus.is_connected:
                await asyncio.sleep(0.01)
            assert loop.time() - began < PROBE_EVERY + PROBE_WITHIN + SLACK
            began = loop.time()
            with pytest.raises(Unavailable):
                await bus.cast(QUEUE, DoJob(server="at once"))
            assert loop.time() - began < SLACK
        finally:
            mortal.resume()
        await anext(back)
        await sender.taken_more(5)
        assert sender.slowest < TAKEN_WITHIN + SLACK
        await receiver.has(sender.taken)


async def test_what_a_server_that_is_cut_off_has_in_hand_is_given_to_another(mortal: PrivateBroker) -> None:
    """The wire is silent: neither end is told. The broker gives its client up after two heartbeats."""
    vhost, begun, loop = a_vhost(mortal), asyncio.Event(), asyncio.get_running_loop()
    receiver = Receiver()

    async def hangs(message: Message) -> Message:
        if isinstance(message, DoJob):
            begun.set()
            await asyncio.get_running_loop().create_future()
        return Done()

    async with a_wired_bus(mortal, vhost) as cut_off, a_wired_bus(mortal, vhost) as other, served(cut_off, hangs):
        await other.cast(QUEUE, DoJob(server="s"))
        await begun.wait()
        async with served(other, receiver.handle):
            cut_off.wire.silence()
            began = loop.time()
            await receiver.has(["s"])
            assert loop.time() - began < 3 * HEARTBEAT + SLACK
            cut_off.wire.mend()


async def test_a_message_that_its_servers_die_of_is_set_aside(mortal: PrivateBroker) -> None:
    deliveries = 0

    async def dies(message: Message) -> Message:
        nonlocal deliveries
        if message == DoJob(server="poison"):
            deliveries += 1
            victim.wire.cut()  # as the broker sees it
            victim.wire.mend()
        return Done()

    vhost = a_vhost(mortal)
    dead = RabbitDeadLetters(RabbitSettings(url(mortal, vhost)))
    async with a_wired_bus(mortal, vhost) as victim, served(victim, dies):
        await victim.cast(QUEUE, DoJob(server="poison"))
        async with asyncio.timeout(15):
            while not (letters := await dead.list()):
                await asyncio.sleep(0.1)
        await answers(victim)
    assert deliveries == MOST_DEATHS
    assert [letter.why for letter in letters] == [f"{MOST_DEATHS} servers ended before they had done with it"]


async def test_a_queue_that_is_deleted_under_its_server_is_made_again(mortal: PrivateBroker) -> None:
    receiver, vhost = Receiver(), a_vhost(mortal)
    async with a_wired_bus(mortal, vhost) as bus, served(bus, receiver.handle):
        connection = await aio_pika.connect(url(mortal, vhost))
        await (await connection.channel()).queue_delete(QUEUE)
        await connection.close()
        await answers(bus)
        await bus.cast(QUEUE, DoJob(server="s"))
        await receiver.has(["s"])


async def test_a_queue_that_was_declared_otherwise_harms_no_other(mortal: PrivateBroker) -> None:
    """Say, by an older version: it is told in the log what to do, and all else goes on."""
    vhost = a_vhost(mortal)
    async with a_wired_bus(mortal, vhost) as bus:
        connection = await aio_pika.connect(url(mortal, vhost))
        await (await connection.channel()).declare_queue("timeline", durable=True)
        await connection.close()
        async with asyncio.TaskGroup() as group:
            refused = group.create_task(bus.serve("timeline", Receiver().handle))
            async with served(bus, Receiver().handle):
                assert await bus.call(QUEUE, ConsoleWanted(server="s")) == Done()
                assert bus.is_connected
            refused.cancel()


async def test_a_user_that_the_broker_does_not_know_is_told_and_tried_again(mortal: PrivateBroker) -> None:
    bus = RabbitBus(RabbitSettings(url(mortal, a_vhost(mortal), password="wrong")))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(bus.run())
        await asyncio.sleep(0.5)
        with pytest.raises(Unavailable, match="not connected"):
            await bus.cast(QUEUE, DoJob(server="s"))
        assert not task.done()
        task.cancel()
