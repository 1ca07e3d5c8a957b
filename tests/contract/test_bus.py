"""What every bus promises (seams/bus.py)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol, cast

import pytest

from moorage.adapters.memory.bus import MemoryBus
from moorage.domain.errors import NotFound, Unavailable
from moorage.seams.bus import Bus, Handler
from moorage.wire.messages import Console, ConsoleWanted, DoJob, Done, Message


class Interruptible(Bus, Protocol):
    """A bus that can be lost and come back while a test watches."""

    async def interrupt(self, away: float = 0.0) -> None: ...


@pytest.fixture(params=["memory"])
def bus() -> Interruptible:
    return MemoryBus(size=50)


@asynccontextmanager
async def served(bus: Bus, queue: str, handler: Handler) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(bus.serve(queue, handler))
        try:
            yield
        finally:
            task.cancel()


async def test_a_call_is_answered(bus: Interruptible) -> None:
    async def handler(message: Message) -> Message:
        assert message == ConsoleWanted(server="s1")
        return Console(output=b"hello")

    async with served(bus, "q", handler):
        assert await bus.call("q", ConsoleWanted(server="s1")) == Console(output=b"hello")


async def test_a_call_that_nobody_answers_is_unavailable_in_time(bus: Interruptible) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(Unavailable, match="did not answer"):
        await bus.call("nobody", ConsoleWanted(server="s"), timeout=0.05)
    assert loop.time() - began < 1.0


async def test_a_handlers_error_comes_back_as_its_class(bus: Interruptible) -> None:
    async def handler(message: Message) -> Message:
        raise NotFound("no such server", kind="X")

    async with served(bus, "q", handler):
        with pytest.raises(NotFound, match="no such server") as caught:
            await bus.call("q", ConsoleWanted(server="s"))
    assert caught.value.kind == "X"


async def test_casts_that_came_before_anybody_served_are_kept_in_order(bus: Interruptible) -> None:
    got: list[str] = []
    all_there = asyncio.Event()

    async def handler(message: Message) -> None:
        assert isinstance(message, DoJob)
        got.append(message.server)
        if len(got) == 20:
            all_there.set()

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
    for number in range(50):
        await bus.cast("q", DoJob(server=str(number)))
    with pytest.raises(Unavailable, match="full"):
        await bus.cast("q", DoJob(server="one more"))


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


async def test_a_message_that_cannot_be_read_harms_no_other(bus: Interruptible) -> None:
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


async def test_casts_that_come_again_are_within_the_bound(bus: Interruptible) -> None:
    struck = 0

    async def handler(message: Message) -> None:
        nonlocal struck
        struck += 1
        raise Unavailable("not now")

    async with served(bus, "q", handler):
        for number in range(50):
            await bus.cast("q", DoJob(server=str(number)))
        async with asyncio.timeout(5):
            while struck < 50:
                await asyncio.sleep(0.001)
        with pytest.raises(Unavailable, match="full"):
            await bus.cast("q", DoJob(server="one more"))


async def test_a_message_that_is_done_makes_room(bus: Interruptible) -> None:
    async def handler(message: Message) -> None: ...

    async with served(bus, "q", handler):
        for number in range(120):
            await bus.cast("q", DoJob(server=str(number)))
            await asyncio.sleep(0.001)


async def test_calls_whose_callers_have_gone_fill_no_queue(bus: Interruptible) -> None:
    calls = [asyncio.ensure_future(bus.call("q", ConsoleWanted(server="s"), timeout=0.01)) for _ in range(50)]
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
        async with served(bus, "later", handler):
            await asyncio.sleep(0.01)
            assert not done.is_set()  # nothing is handed out meanwhile
            await away
            async with asyncio.timeout(5):
                await done.wait()
