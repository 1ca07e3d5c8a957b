"""What every bus promises (seams/bus.py)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from moorage.adapters.memory.bus import MemoryBus
from moorage.domain.errors import NotFound, Unavailable
from moorage.seams.bus import Bus, Handler
from moorage.wire.messages import Console, ConsoleWanted, DoJob, Done, Message


@pytest.fixture(params=["memory"])
def bus() -> Bus:
    return MemoryBus(size=50)


@asynccontextmanager
async def served(bus: Bus, queue: str, handler: Handler) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(bus.serve(queue, handler))
        try:
            yield
        finally:
            task.cancel()


async def test_a_call_is_answered(bus: Bus) -> None:
    async def handler(message: Message) -> Message:
        assert message == ConsoleWanted(server="s1")
        return Console(output=b"hello")

    async with served(bus, "q", handler):
        assert await bus.call("q", ConsoleWanted(server="s1")) == Console(output=b"hello")


async def test_a_call_that_nobody_answers_is_unavailable_in_time(bus: Bus) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(Unavailable, match="did not answer"):
        await bus.call("nobody", ConsoleWanted(server="s"), timeout=0.05)
    assert loop.time() - began < 1.0


async def test_a_handlers_error_comes_back_as_its_class(bus: Bus) -> None:
    async def handler(message: Message) -> Message:
        raise NotFound("no such server", kind="X")

    async with served(bus, "q", handler):
        with pytest.raises(NotFound, match="no such server") as caught:
            await bus.call("q", ConsoleWanted(server="s"))
    assert caught.value.kind == "X"


async def test_casts_that_came_before_anybody_served_are_kept_in_order(bus: Bus) -> None:
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


async def test_a_cast_whose_handler_is_unavailable_comes_again(bus: Bus) -> None:
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


async def test_a_message_under_way_when_its_server_ends_is_given_to_the_next(bus: Bus) -> None:
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


async def test_a_full_queue_refuses(bus: Bus) -> None:
    for number in range(50):
        await bus.cast("q", DoJob(server=str(number)))
    with pytest.raises(Unavailable, match="full"):
        await bus.cast("q", DoJob(server="one more"))


async def test_one_slow_message_does_not_hold_up_the_next(bus: Bus) -> None:
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
