"""What every clock promises (seams/clock.py)."""

import asyncio
from datetime import timedelta

import pytest

from moorage.adapters.memory.clock import LoopClock
from moorage.adapters.system.clock import SystemClock
from moorage.seams.clock import Clock


@pytest.fixture(params=["system", "memory"])
def clock(request: pytest.FixtureRequest) -> Clock:
    return SystemClock() if request.param == "system" else LoopClock()


async def test_now_is_utc(clock: Clock) -> None:
    assert clock.now().utcoffset() == timedelta(0)


async def test_both_sides_of_a_clock_go_on_together(clock: Clock) -> None:
    wall, loop = clock.now(), clock.monotonic()
    await asyncio.sleep(0.02)
    passed = clock.monotonic() - loop
    assert passed >= 0.019
    assert abs((clock.now() - wall).total_seconds() - passed) < 0.05


async def test_the_monotonic_side_is_the_loops(clock: Clock) -> None:
    before = asyncio.get_running_loop().time()
    assert before <= clock.monotonic() <= asyncio.get_running_loop().time()


@pytest.mark.looptime
async def test_a_clock_in_memory_moves_its_dates_with_virtual_time() -> None:
    clock = LoopClock()
    began = clock.now()
    await asyncio.sleep(3600.0)
    assert clock.now() - began == timedelta(hours=1)
    assert LoopClock().now() == clock.now(), "one made later tells another time"
