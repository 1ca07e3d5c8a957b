"""The asyncio tools: who owns what, who waits for whom, what a cancellation ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise

import pytest

from moorage.kit.per_key import PerKey
from moorage.kit.retry import retry
from moorage.kit.slot import Slot
from moorage.kit.supervise import supervise

pytestmark = pytest.mark.looptime


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


@asynccontextmanager
async def owned(jobs: PerKey[str]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        owner = group.create_task(jobs.run())
        await asyncio.sleep(0)
        try:
            yield
        finally:
            owner.cancel()


async def test_one_job_at_a_time_for_each_key_and_keys_side_by_side() -> None:
    jobs: PerKey[str] = PerKey()
    async with owned(jobs):
        assert jobs.start("a", "boot", for_ever)
        assert not jobs.start("a", "stop", for_ever)
        assert jobs.start("b", "boot", for_ever)
        assert (jobs.busy("a"), jobs.busy("b"), jobs.busy("c")) == ("boot", "boot", None)


async def test_a_job_that_takes_anothers_place_begins_when_that_one_has_unwound() -> None:
    jobs: PerKey[str] = PerKey()
    told: list[str] = []

    async def slow_to_end() -> None:
        try:
            await for_ever()
        finally:
            await asyncio.sleep(5)
            told.append("unwound")

    async def delete() -> None:
        told.append("deleting")

    async with owned(jobs):
        jobs.start("a", "boot", slow_to_end)
        await asyncio.sleep(0)
        assert jobs.start("a", "delete#1", delete, instead=True)
        await asyncio.sleep(1)
        assert jobs.start("a", "delete#2", delete, instead=True)  # while the one before still waits
        await asyncio.sleep(10)
    assert told == ["unwound", "deleting"]


async def test_a_job_that_fails_frees_its_key() -> None:
    jobs: PerKey[str] = PerKey()

    async def fails() -> None:
        raise RuntimeError("no")

    async with owned(jobs):
        jobs.start("a", "boot", fails)
        await asyncio.sleep(0.1)
        assert jobs.busy("a") is None


async def test_a_key_is_free_in_the_moment_that_its_job_ends() -> None:
    jobs: PerKey[str] = PerKey()
    is_over = asyncio.Event()

    async def job() -> None:
        is_over.set()  # the last it does: whoever waits for it comes before the job's own callback

    async with owned(jobs):
        assert jobs.start("a", "look", job)
        await is_over.wait()
        assert jobs.start("a", "look", for_ever)
        await asyncio.sleep(0)
        assert jobs.busy("a") == "look"


async def test_a_key_is_idle_when_its_jobs_have_ended() -> None:
    jobs: PerKey[str] = PerKey()
    began = asyncio.get_running_loop().time()

    async with owned(jobs):
        await jobs.idle("a")
        jobs.start("a", "boot#1", for_ever)
        jobs.start("a", "boot#2", partial(asyncio.sleep, 3), instead=True)
        await jobs.idle("a")
        assert jobs.busy("a") is None
        assert asyncio.get_running_loop().time() - began == 3


async def test_a_job_without_an_owner_is_not_started() -> None:
    assert not PerKey[str]().start("a", "boot", for_ever)


async def test_a_slot_stops_and_starts_fresh_lives() -> None:
    lives = 0

    async def life() -> None:
        nonlocal lives
        lives += 1
        await for_ever()

    slot = Slot(life)
    async with asyncio.TaskGroup() as group:
        owner = group.create_task(slot.run())
        await asyncio.sleep(0.1)
        await slot.stop()
        await asyncio.sleep(0.1)
        assert lives == 1
        slot.start()
        await asyncio.sleep(0.1)
        assert lives == 2
        slot.restart()
        await asyncio.sleep(0.1)
        assert lives == 3
        owner.cancel()


async def test_a_slot_whose_life_has_failed_can_be_stopped() -> None:
    async def fails() -> None:
        raise RuntimeError("no")

    slot = Slot(fails)
    with pytest.raises(ExceptionGroup):
        await slot.run()
    async with asyncio.timeout(1):
        await slot.stop()


async def test_a_task_that_fails_is_run_again_after_a_growing_pause() -> None:
    began: list[float] = []

    async def fails() -> None:
        began.append(asyncio.get_running_loop().time())
        raise RuntimeError("no")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(20):
            await supervise([("failing", fails)])
    pauses = [later - earlier for earlier, later in pairwise(began)]
    assert pauses == pytest.approx([1, 2, 4, 8])


async def test_cancelling_ends_tasks_whose_children_fail_on_the_way_out() -> None:
    """On 3.11 a TaskGroup puts its children's errors in the place of the cancellation."""

    async def child() -> None:
        try:
            await for_ever()
        finally:
            raise RuntimeError("on the way out")

    async def with_a_child() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        owner = group.create_task(supervise([("with a child", with_a_child)]))
        await asyncio.sleep(0.1)
        owner.cancel()


async def test_retrying_ends_when_the_time_is_up_on_the_loops_clock() -> None:
    tries = 0

    async def fails() -> None:
        nonlocal tries
        tries += 1
        raise ConnectionError("no")

    began = asyncio.get_running_loop().time()
    with pytest.raises(ConnectionError):
        await retry(fails, on=ConnectionError, timeout=30)
    assert 30 <= asyncio.get_running_loop().time() - began < 33
    assert tries > 5


async def test_an_error_that_is_not_named_is_not_retried() -> None:
    async def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await retry(fails, on=ConnectionError)
