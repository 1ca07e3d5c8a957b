"""The limit around each call of a seam."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from moorage.app.deadlines import CALL, EACH, limited
from moorage.domain.errors import Unavailable

pytestmark = pytest.mark.looptime


class Slow:
    """Answers when its time has come, or never."""

    name = "slow"

    def __init__(self, seconds: float = 1e9) -> None:
        self.seconds = seconds
        self.ended = 0

    async def ask(self) -> str:
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.ended += 1
        return "answer"

    async def do(self, things: Sequence[str]) -> int:
        await asyncio.sleep(self.seconds)
        return len(things)

    async def stop(self, name: str, *, patience: float = 0.0) -> None:
        await asyncio.sleep(self.seconds)

    async def times_out_by_itself(self) -> None:
        raise TimeoutError("of its own")

    async def watch(self) -> AsyncIterator[int]:
        yield 1


async def test_an_answer_within_the_limit_is_handed_through() -> None:
    assert await limited("it", Slow(CALL - 0.1)).ask() == "answer"


async def test_a_call_that_hangs_is_cancelled_and_unavailable_in_its_name() -> None:
    slow, loop = Slow(), asyncio.get_running_loop()
    with pytest.raises(Unavailable, match="the switch did not answer ask within 10 s"):
        await limited("the switch", slow).ask()
    assert (loop.time(), slow.ended) == (CALL, 1)


async def test_a_limit_can_be_another_or_none() -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(Unavailable):
        await limited("it", Slow(), seconds=3.0).ask()
    assert loop.time() == 3.0
    with pytest.raises(Unavailable):
        await limited("it", Slow(), seconds=3.0, but={"ask": 20.0}).ask()
    assert loop.time() == 23.0
    assert await limited("it", Slow(1e4), but={"ask": None}).ask() == "answer"


async def test_many_things_and_patience_take_their_time() -> None:
    assert await limited("it", Slow(CALL + 99 * EACH)).do(["a"] * 100) == 100
    await limited("it", Slow(CALL + 4.0)).stop("a name that is long is one thing", patience=5.0)
    with pytest.raises(Unavailable):
        await limited("it", Slow(CALL + 4.0)).stop("x" * 1000)


async def test_a_time_out_of_the_adapters_own_is_not_ours() -> None:
    with pytest.raises(TimeoutError, match="of its own"):
        await limited("it", Slow()).times_out_by_itself()


async def test_iterators_and_attributes_are_handed_through() -> None:
    slow = limited("it", Slow())
    assert [one async for one in slow.watch()] == [1]
    assert slow.name == "slow"


async def test_who_is_cancelled_is_cancelled() -> None:
    slow = Slow()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await limited("it", slow).ask()
    assert slow.ended == 1
