"""Processes that shall run for ever are started again: soon, and later and later while they keep ending."""

import asyncio
from itertools import pairwise
from typing import cast

import pytest

from moorage.app.keeping import FIRST_PAUSE, LIVES, LONGEST_PAUSE, keep_running
from moorage.domain.errors import NotFound
from moorage.seams.world import World

pytestmark = pytest.mark.looptime


class Mortal:
    """A world in which a process lives for so many seconds at a time."""

    def __init__(self, *lives: float) -> None:
        self.lives = list(lives)
        self.started: list[float] = []

    async def wait(self, name: str) -> int:
        if not self.started:
            raise NotFound(f"there is no process {name}")
        await asyncio.sleep(self.lives.pop(0) if self.lives else 1e6)
        return -9

    async def start(self) -> None:
        self.started.append(asyncio.get_running_loop().time())


async def starts(world: Mortal, *, within: float) -> list[float]:
    """The times between starts."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(within):
            await keep_running(cast(World, world), "server", world.start)
    return [later - earlier for earlier, later in pairwise(world.started)]


async def test_one_that_was_never_started_is_started() -> None:
    world = Mortal()
    assert await starts(world, within=1.0) == []
    assert len(world.started) == 1


async def test_the_pause_grows_while_it_keeps_ending() -> None:
    pauses = await starts(Mortal(*[0.0] * 20), within=600.0)
    assert pauses[:3] == pytest.approx([2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE])
    assert pauses[-1] == LONGEST_PAUSE


async def test_the_pause_is_short_again_for_one_that_has_lived() -> None:
    pauses = await starts(Mortal(*[0.0] * 8, LIVES + 1), within=200.0)
    assert pauses[-1] == pytest.approx(LIVES + 1 + FIRST_PAUSE)
