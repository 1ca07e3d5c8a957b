"""One fault at each call in turn: seam objects wrapped so that their n-th call fails in one of five ways."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar, cast

from moorage.domain.errors import Unavailable

T = TypeVar("T")


class Fault(StrEnum):
    UNAVAILABLE = "raises Unavailable, nothing was done"
    HANGS = "never answers, nothing was done"
    LATE = "is done, and answers late"
    LOST = "is done, but the answer is lost: Unavailable"
    TWICE = "is done twice, as by a repeated message"


@dataclass
class Faults:
    """What happens to the calls of all objects that were wrapped with it, counted together from 0.

    `lasting` calls from number `at` on are struck by `kind`; None strikes none: a clean run, for counting.
    """

    kind: Fault | None = None
    at: int = 0
    lasting: int = 1  # calls
    late: float = 20.0  # seconds
    calls: list[str] = field(default_factory=list)  # what was called so far, e.g. "MemorySwitch.plug"
    struck: list[str] = field(default_factory=list)  # the calls that the fault has hit; empty: it was not reached

    def __str__(self) -> str:
        what = ", ".join(self.struck) or "not reached"
        return f"call {self.at} ({what}) {self.kind}" if self.kind else f"no fault in {len(self.calls)} calls"

    def strikes(self, name: str) -> Fault | None:
        """Count a call; the fault that it meets."""
        number = len(self.calls)
        self.calls.append(name)
        if self.kind is None or not self.at <= number < self.at + self.lasting:
            return None
        self.struck.append(name)
        return self.kind


def faulty(real: T, faults: Faults, *, spare: Collection[str] = ()) -> T:
    """`real`, with `faults` at its async methods, but for those named in `spare` (a bus' endless `serve`).

    Iterators such as `watch()` are handed through, and attributes read; to set a knob, set it on `real`.
    """
    return cast(T, _Faulty(real, faults, frozenset(spare)))


class _Faulty:
    def __init__(self, real: object, faults: Faults, spare: frozenset[str]) -> None:
        self._real = real
        self._faults = faults
        self._spare = spare

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        if name in self._spare or not inspect.iscoroutinefunction(method):
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            full = f"{type(self._real).__name__}.{name}"
            fault = self._faults.strikes(full)
            if fault is Fault.UNAVAILABLE:
                raise Unavailable(f"{full}: a fault, nothing was done")
            if fault is Fault.HANGS:
                await asyncio.get_running_loop().create_future()
            if fault is Fault.TWICE:
                await method(*args, **kwargs)
            answer = await method(*args, **kwargs)
            if fault is Fault.LATE:
                await asyncio.sleep(self._faults.late)
            if fault is Fault.LOST:
                raise Unavailable(f"{full}: a fault, it was done")
            return answer

        return call


async def one_fault_at_a_time(
    *kinds: Fault, lasting: int = 1, late: float = 20.0, calls: Collection[int] | None = None
) -> AsyncIterator[Faults]:
    """Runs of one story: first a clean one, which counts the calls, then one for each call and kind of fault.

    `kinds` is all of them unless named; `calls` limits the numbers that are tried. The story builds its world anew in
    each run and takes it down; a run that leaves a task behind fails.
    """
    before = asyncio.all_tasks()
    clean = Faults()
    yield clean
    await _show_no_task(before, clean)
    for at in range(len(clean.calls)):
        if calls is None or at in calls:
            for kind in kinds or tuple(Fault):
                faults = Faults(kind, at, lasting, late)
                yield faults
                await _show_no_task(before, faults)


async def _show_no_task(before: set[asyncio.Task[Any]], faults: Faults) -> None:
    await asyncio.sleep(0)  # for what is being cancelled
    left = asyncio.all_tasks() - before
    assert not left, f"{faults}: tasks were left over: {left}"
