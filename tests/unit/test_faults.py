"""The faults of the story tests, tried themselves."""

import asyncio

import pytest
from tests.story.faults import Fault, Faults, faulty, one_fault_at_a_time

from moorage.domain.errors import Unavailable

pytestmark = pytest.mark.looptime


class Ledger:
    """Something with async methods."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    async def note(self, entry: str) -> int:
        self.entries.append(entry)
        return len(self.entries)

    async def serve(self) -> None:
        await asyncio.get_running_loop().create_future()

    def now(self) -> str:
        return "not async"


async def test_without_a_fault_calls_are_counted_and_nothing_else() -> None:
    real, faults = Ledger(), Faults()
    ledger = faulty(real, faults)
    assert [await ledger.note("a"), await ledger.note("b")] == [1, 2]
    assert ledger.now() == "not async"
    assert ledger.entries == ["a", "b"]
    assert faults.calls == ["Ledger.note", "Ledger.note"]
    assert not faults.struck


async def test_an_unavailable_call_has_done_nothing() -> None:
    real, faults = Ledger(), Faults(Fault.UNAVAILABLE, at=1)
    ledger = faulty(real, faults)
    await ledger.note("a")
    with pytest.raises(Unavailable):
        await ledger.note("b")
    await ledger.note("c")
    assert real.entries == ["a", "c"]
    assert faults.struck == ["Ledger.note"]


async def test_a_hanging_call_never_answers() -> None:
    real = Ledger()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1e6):
            await faulty(real, Faults(Fault.HANGS)).note("a")
    assert real.entries == []


async def test_a_late_call_is_done_at_once_and_answers_late() -> None:
    real, loop = Ledger(), asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        late = group.create_task(faulty(real, Faults(Fault.LATE, late=20.0)).note("a"))
        await asyncio.sleep(1.0)
        assert real.entries == ["a"]
        assert await late == 1
    assert loop.time() == pytest.approx(20.0)


async def test_a_lost_answer_is_that_of_a_call_that_was_done() -> None:
    real = Ledger()
    with pytest.raises(Unavailable):
        await faulty(real, Faults(Fault.LOST)).note("a")
    assert real.entries == ["a"]


async def test_a_call_done_twice_answers_once() -> None:
    real = Ledger()
    assert await faulty(real, Faults(Fault.TWICE)).note("a") == 2
    assert real.entries == ["a", "a"]


async def test_a_lasting_fault_strikes_calls_in_a_row() -> None:
    real, faults = Ledger(), Faults(Fault.UNAVAILABLE, at=1, lasting=2)
    ledger = faulty(real, faults)
    outcomes = [await asyncio.gather(ledger.note(entry), return_exceptions=True) for entry in "abcd"]
    assert [isinstance(outcome, Unavailable) for [outcome] in outcomes] == [False, True, True, False]


async def test_spared_methods_are_not_touched() -> None:
    faults = Faults(Fault.UNAVAILABLE)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await faulty(Ledger(), faults, spare={"serve"}).serve()
    assert not faults.calls


async def test_each_call_of_all_objects_meets_each_fault_once() -> None:
    met: list[tuple[int, object, list[str]]] = []
    async for faults in one_fault_at_a_time(Fault.UNAVAILABLE, Fault.TWICE):
        left, right = faulty(Ledger(), faults), faulty(Ledger(), faults)
        await asyncio.gather(left.note("a"), return_exceptions=True)
        await asyncio.gather(right.note("b"), return_exceptions=True)
        met.append((faults.at, faults.kind, faults.struck))
    struck = ["Ledger.note"]
    assert met == [
        (0, None, []),
        (0, Fault.UNAVAILABLE, struck),
        (0, Fault.TWICE, struck),
        (1, Fault.UNAVAILABLE, struck),
        (1, Fault.TWICE, struck),
    ]


async def test_a_run_that_leaves_a_task_behind_fails() -> None:
    async with asyncio.TaskGroup() as group:
        runs = one_fault_at_a_time()
        await anext(runs)
        left = group.create_task(asyncio.sleep(1e6))
        with pytest.raises(AssertionError, match="left over"):
            await anext(runs)
        left.cancel()
