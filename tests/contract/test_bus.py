"""What every bus promises (seams/bus.py, seams/dead_letters.py)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, cast

import pytest
import structlog
from tests.rabbitmq import a_vhost, a_wired_bus

from moorage.adapters.memory.bus import MemoryBus
from moorage.adapters.rabbitmq.broker import PrivateBroker
from moorage.adapters.rabbitmq.dead_letters import RabbitDeadLetters
from moorage.domain.errors import Conflict, NotFound, Unavailable
from moorage.seams.bus import MOST_FAILURES, Bus, Handler
from moorage.seams.dead_letters import DeadLetter, DeadLetters
from moorage.wire.messages import Console, ConsoleWanted, DoJob, Done, Message, decode

SIZE, AT_ONCE = 50, 20  # messages that may wait in a queue, and that are handled side by side
THERE = ConsoleWanted(server="are you there?")


class Interruptible(Bus, Protocol):
    """A bus that can be lost and come back while a test watches."""

    async def interrupt(self, away: float = 0.0) -> None: ...


@pytest.fixture(params=["memory", "rabbitmq"])
async def both(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Interruptible, DeadLetters]]:
    if request.param == "memory":
        bus = MemoryBus(size=SIZE, at_once=AT_ONCE)
        yield bus, bus.dead
        return
    broker: PrivateBroker = request.getfixturevalue("broker")
    async with a_wired_bus(broker, a_vhost(broker), size=SIZE, at_once=AT_ONCE) as wired:
        yield wired, RabbitDeadLetters(wired.settings)


@pytest.fixture
def bus(both: tuple[Interruptible, DeadLetters]) -> Interruptible:
    return both[0]


@pytest.fixture
def dead(both: tuple[Interruptible, DeadLetters]) -> DeadLetters:
    return both[1]


def job_of(letter: DeadLetter) -> str:
    message = decode(letter.body).body
    assert isinstance(message, DoJob)
    return message.server


@asynccontextmanager
async def served(bus: Bus, queue: str, handler: Handler) -> AsyncIterator[None]:
    """The queue is served, for the length of the context."""

    async def answering(message: Message) -> Message | None:
        return Done() if message == THERE else await handler(message)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(bus.serve(queue, answering))
        try:
            async with asyncio.timeout(10):
                while True:
                    with suppress(Unavailable):
                        await bus.call(queue, THERE, timeout=5)
                        break
                    await asyncio.sleep(0.01)
            yield
        finally:
            task.cancel()


async def exists(bus: Bus, queue: str) -> None:
    """The queue exists, and nobody serves it now."""

    async def handler(message: Message) -> None: ...

    async with served(bus, queue, handler):
        pass


async def cast_many(bus: Bus, count: int) -> None:
    for number in range(count):
        await bus.cast("q", DoJob(server=str(number)))


async def all_dead(dead: DeadLetters, count: int) -> list[DeadLetter]:
    async with asyncio.timeout(10):
        while len(found := await dead.list()) < count:
            await asyncio.sleep(0.02)
    assert len(found) == count
    return list(found)


async def test_a_call_is_answered(bus: Interruptible) -> None:
    async def handler(message: Message) -> Message:
        assert message == ConsoleWanted(server="s1")
        return Console(output=b"hello")

    async with served(bus, "q", handler):
        assert await bus.call("q", ConsoleWanted(server="s1")) == Console(output=b"hello")


async def test_a_call_that_nobody_answers_is_unavailable_in_time(bus: Interruptible) -> None:
    await exists(bus, "nobody")
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(Unavailable, match="did not answer"):
        await bus.call("nobody", ConsoleWanted(server="s"), timeout=0.05)
    assert loop.time() - began < 1.0


async def test_what_is_sent_to_a_queue_that_nobody_ever_served_is_unavailable_at_once(bus: Interruptible) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(Unavailable, match="served"):
            await bus.cast("nobody", DoJob(server="s"))
        with pytest.raises(Unavailable, match="served"):
            await bus.call("nobody", ConsoleWanted(server="s"), timeout=60)


async def test_a_handlers_error_comes_back_as_its_class(bus: Interruptible) -> None:
    async def handler(message: Message) -> Message:
        raise NotFound("no such server", kind="X")

    async with served(bus, "q", handler):
        with pytest.raises(NotFound, match="no such server") as caught:
            await bus.call("q", ConsoleWanted(server="s"))
    assert caught.value.kind == "X"


async def test_casts_that_came_while_nobody_served_are_kept_in_order(bus: Interruptible) -> None:
    got: list[str] = []
    all_there = asyncio.Event()

    async def handler(message: Message) -> None:
        assert isinstance(message, DoJob)
        got.append(message.server)
        if len(got) == 20:
            all_there.set()

    await exists(bus, "q")
    for number in range(20):
        await bus.cast("q", DoJob(server=str(number)))
    async with served(bus, "q", handler):
        async with asyncio.timeout(5):
            await all_there.wait()
    assert got == [str(number) for number in range(20)]


async def test_a_cast_whose_handler_is_unavailable_comes_again(bus: Interruptible) -> None:
    tries = 0
    done = asyncio.Event()

    async def handler(message: Message) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise Unavailable("not now")
        done.set()

    async with served(bus, "q", handler):
        await bus.cast("q", DoJob(server="s"))
        async with asyncio.timeout(5):
            await done.wait()
    assert tries == 3


async def test_a_message_under_way_when_its_server_ends_is_given_to_the_next(bus: Interruptible) -> None:
    begun = asyncio.Event()

    async def hangs(message: Message) -> None:
        begun.set()
        await asyncio.get_running_loop().create_future()

    async with served(bus, "q", hangs):
        call = asyncio.ensure_future(bus.call("q", ConsoleWanted(server="s"), timeout=5))
        await begun.wait()

    async def answers(message: Message) -> Message:
        return Done()

    async with served(bus, "q", answers):
        assert await call == Done()


async def test_a_full_queue_refuses(bus: Interruptible) -> None:
    await exists(bus, "q")
    await cast_many(bus, SIZE)
    with pytest.raises(Unavailable, match="full"):
        await cast_many(bus, 5)  # a broker may find it out a little later


async def test_one_slow_message_does_not_hold_up_the_next(bus: Interruptible) -> None:
    async def handler(message: Message) -> Message:
        assert isinstance(message, ConsoleWanted)
        if message.server == "slow":
            await asyncio.get_running_loop().create_future()
        return Done()

    async with served(bus, "q", handler):
        slow = asyncio.ensure_future(bus.call("q", ConsoleWanted(server="slow"), timeout=0.2))
        assert await bus.call("q", ConsoleWanted(server="quick"), timeout=1) == Done()
        with pytest.raises(Unavailable):
            await slow


async def test_an_answer_that_comes_too_late_goes_nowhere(bus: Interruptible) -> None:
    answered = asyncio.Event()

    async def handler(message: Message) -> Message:
        if message == ConsoleWanted(server="slow"):
            await asyncio.sleep(0.3)
            answered.set()
            return Console(output=b"too late")
        return Console(output=b"in time")

    async with served(bus, "q", handler):
        with pytest.raises(Unavailable, match="did not answer"):
            await bus.call("q", ConsoleWanted(server="slow"), timeout=0.1)
        await answered.wait()
        assert await bus.call("q", ConsoleWanted(server="quick"), timeout=5) == Console(output=b"in time")


async def test_what_a_handler_does_ends_neither_its_server_nor_another_message(bus: Interruptible) -> None:
    """It may raise anything, cancel itself, or answer with what is no message."""

    async def handler(message: Message) -> Message:
        assert isinstance(message, ConsoleWanted)
        match message.server:
            case "raises":
                raise RuntimeError("a bug")
            case "cancels":
                raise asyncio.CancelledError
            case "talks rubbish":
                return cast(Message, object())
            case "slow":
                await asyncio.sleep(0.05)
        return Done()

    async with served(bus, "q", handler):
        slow = asyncio.ensure_future(bus.call("q", ConsoleWanted(server="slow"), timeout=5))
        for bad in ("raises", "cancels", "talks rubbish"):
            with pytest.raises(Unavailable, match="internal error"):
                await bus.call("q", ConsoleWanted(server=bad), timeout=1)
        assert await bus.call("q", ConsoleWanted(server="sound"), timeout=1) == Done()
        assert await slow == Done()


async def test_a_message_that_cannot_be_read_harms_no_other(bus: Interruptible, dead: DeadLetters) -> None:
    """One with a field of a wrong type is taken, as the sender's encoder does not look; its receiver refuses it."""
    unreadable = DoJob(server=cast(Any, 7))

    async def handler(message: Message) -> Message:
        await asyncio.sleep(0.05)
        return Done()

    async with served(bus, "q", handler):
        beside = asyncio.ensure_future(bus.call("q", ConsoleWanted(server="s"), timeout=1))
        await bus.cast("q", unreadable)
        with pytest.raises(Unavailable):
            await bus.call("q", unreadable, timeout=1)
        assert await beside == Done()
        assert await bus.call("q", ConsoleWanted(server="s"), timeout=1) == Done()
        [letter] = await all_dead(dead, 1)  # the call's caller knows
    assert letter.why.startswith("refused: ")


async def test_what_is_in_the_hands_of_a_server_is_within_a_bound_too(bus: Interruptible) -> None:
    async def handler(message: Message) -> None:
        raise Unavailable("not now")

    async with served(bus, "q", handler):
        with pytest.raises(Unavailable, match="full"):
            await cast_many(bus, SIZE + AT_ONCE + 5)


async def test_several_servers_of_a_queue_share_its_messages(bus: Interruptible) -> None:
    servers: dict[str, str] = {}
    both_work = asyncio.Event()

    def server(name: str) -> Handler:
        async def handler(message: Message) -> Message:
            assert isinstance(message, ConsoleWanted)
            assert message.server not in servers
            servers[message.server] = name
            if len(set(servers.values())) == 2:
                both_work.set()
            await both_work.wait()
            return Done()

        return handler

    async with served(bus, "q", server("a")), served(bus, "q", server("b")):
        async with asyncio.timeout(5):
            await asyncio.gather(*(bus.call("q", ConsoleWanted(server=str(number))) for number in range(AT_ONCE + 1)))
    assert len(servers) == AT_ONCE + 1


async def test_a_handler_works_for_the_request_that_the_message_was_sent_for(bus: Interruptible) -> None:
    async def handler(message: Message) -> Message:
        return Console(output=str(structlog.contextvars.get_contextvars()["request_id"]).encode())

    async with served(bus, "q", handler):
        with structlog.contextvars.bound_contextvars(request_id="req-1"):
            assert await bus.call("q", ConsoleWanted(server="s")) == Console(output=b"req-1")


async def test_a_cast_that_is_refused_is_done(bus: Interruptible, dead: DeadLetters) -> None:
    tries = 0

    async def handler(message: Message) -> Message:
        nonlocal tries
        tries += isinstance(message, DoJob)
        raise Conflict("not in this state")

    async with served(bus, "q", handler):
        await bus.cast("q", DoJob(server="s"))
        async with asyncio.timeout(5):
            while tries == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
    assert tries == 1
    assert await dead.list() == []


async def test_a_cast_that_fails_again_and_again_is_set_aside_and_holds_up_no_other(
    bus: Interruptible, dead: DeadLetters
) -> None:
    tries, others = 0, 0

    async def handler(message: Message) -> None:
        nonlocal tries, others
        if message == DoJob(server="poison"):
            tries += 1
            raise RuntimeError("a bug")
        others += 1

    async with served(bus, "q", handler):
        await bus.cast("q", DoJob(server="poison"))
        for number in range(40):
            await bus.cast("q", DoJob(server=str(number)))
        async with asyncio.timeout(5):
            while others < 40:
                await asyncio.sleep(0.01)
        assert tries < MOST_FAILURES  # it is not waited for
        [letter] = await all_dead(dead, 1)
    assert tries == MOST_FAILURES
    assert (letter.queue, letter.kind) == ("q", "DoJob")
    assert "RuntimeError('a bug')" in letter.why
    assert job_of(letter) == "poison"
    assert letter.sent_at <= letter.died_at


async def test_a_dead_letter_can_be_sent_again_or_dropped(bus: Interruptible, dead: DeadLetters) -> None:
    is_mended = False
    done: list[str] = []

    async def handler(message: Message) -> None:
        assert isinstance(message, DoJob)
        if not is_mended:
            raise asyncio.CancelledError
        done.append(message.server)

    async with served(bus, "q", handler):
        for name in ("first", "second", "third"):
            await bus.cast("q", DoJob(server=name))
        letters = {job_of(letter): letter.id for letter in await all_dead(dead, 3)}
        is_mended = True
        await dead.send_again(letters["second"])
        await dead.drop(letters["first"])
        [left] = await all_dead(dead, 1)
        assert left.id == letters["third"]
        async with asyncio.timeout(5):
            while not done:
                await asyncio.sleep(0.01)
        assert done == ["second"]
        for gone in (letters["first"], "never was"):
            with pytest.raises(NotFound):
                await dead.drop(gone)
            with pytest.raises(NotFound):
                await dead.send_again(gone)


async def test_a_message_that_is_done_makes_room(bus: Interruptible) -> None:
    async def handler(message: Message) -> None: ...

    async with served(bus, "q", handler):
        for number in range(2 * (SIZE + AT_ONCE)):
            await bus.cast("q", DoJob(server=str(number)))
            await asyncio.sleep(0.001)


async def test_calls_whose_callers_have_gone_fill_no_queue(bus: Interruptible) -> None:
    await exists(bus, "q")
    calls = [asyncio.ensure_future(bus.call("q", ConsoleWanted(server="s"), timeout=0.1)) for _ in range(SIZE)]
    assert all(isinstance(gone, Unavailable) for gone in await asyncio.gather(*calls, return_exceptions=True))
    await bus.cast("q", DoJob(server="s"))


async def test_a_bus_that_comes_back_tells_all_that_listen(bus: Interruptible) -> None:
    first, second = bus.reconnects(), bus.reconnects()
    await bus.interrupt()  # before anybody awaits: it is told all the same
    await bus.interrupt()
    for listener in (first, second):
        async with asyncio.timeout(5):
            await anext(listener)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(listener)  # both were told at once


async def test_a_reconnect_is_told_to_one_who_waits(bus: Interruptible) -> None:
    heard = asyncio.Event()

    async def listen() -> None:
        async for _ in bus.reconnects():
            heard.set()

    async with asyncio.TaskGroup() as group:
        listener = group.create_task(listen())
        await asyncio.sleep(0.01)
        assert not heard.is_set()
        await bus.interrupt()
        async with asyncio.timeout(5):
            await heard.wait()
        listener.cancel()


async def test_what_is_under_way_when_the_bus_is_lost_fails_and_what_was_taken_is_kept(bus: Interruptible) -> None:
    begun, done = asyncio.Event(), asyncio.Event()

    async def handler(message: Message) -> Message:
        if isinstance(message, DoJob):
            done.set()
            return Done()
        begun.set()
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    await exists(bus, "later")
    await bus.cast("later", DoJob(server="s"))
    async with served(bus, "q", handler):
        call = asyncio.ensure_future(bus.call("q", ConsoleWanted(server="s"), timeout=60))
        await begun.wait()
        away = asyncio.ensure_future(bus.interrupt(0.1))
        with pytest.raises(Unavailable, match="lost"):
            async with asyncio.timeout(5):
                await call
        with pytest.raises(Unavailable, match="lost"):
            await bus.cast("q", DoJob(server="s"))
        later = asyncio.ensure_future(bus.serve("later", handler))
        await asyncio.sleep(0.01)
        assert not done.is_set()  # nothing is handed out meanwhile
        await away
        async with asyncio.timeout(5):
            await done.wait()
        later.cancel()
