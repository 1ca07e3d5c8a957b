"""One fault at each call in turn: seam objects wrapped so that a chosen call of theirs fails in one of five ways."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar, cast

from moorage.domain.errors import Unavailable
from moorage.wire.messages import DhcpWanted, HostEvents, Reports

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

    `lasting` calls from number `at` on are struck by `kind`; None strikes none: a clean run, for counting. With `only`
    just the calls of that name are counted.
    """

    kind: StrEnum | None = None  # a Fault, or what another wrapper knows of
    at: int = 0
    lasting: int = 1  # calls
    late: float = 20.0  # seconds
    only: str | None = None
    calls: list[str] = field(default_factory=list)  # what was called so far, e.g. "MemorySwitch.plug"
    struck: list[str] = field(default_factory=list)  # the calls that the fault has hit; empty: it was not reached
    under_way: int = 0  # struck calls that have not ended
    noting: Callable[[str], object] = lambda name: None  # is told of each call

    def __str__(self) -> str:
        what = ", ".join(self.struck) or f"{self.only or 'any'}, not reached"
        return f"call {self.at} ({what}) {self.kind}" if self.kind else f"no fault in {len(self.calls)} calls"

    def strikes(self, name: str) -> StrEnum | None:
        """Count a call; the fault that it meets."""
        number = len(self.calls) if self.only is None else self.calls.count(self.only)
        self.calls.append(name)
        self.noting(name)
        if self.kind is None or self.only not in (None, name) or not self.at <= number < self.at + self.lasting:
            return None
        self.struck.append(name)
        return self.kind

    def arm(self, kind: StrEnum | None, only: str | None = None, at: int = 0) -> None:
        """Count from here on, and strike this call."""
        self.calls.clear()
        self.struck.clear()
        self.kind, self.only, self.at = kind, only, at


def faulty(real: T, faults: Faults, *, who: str | None = None, spare: Collection[str] = ()) -> T:
    """`real`, with `faults` at its async methods, but for those named in `spare`. `who` is its name in `calls`.

    Iterators such as `watch()` are handed through, and attributes read; to set a knob, set it on `real`.
    """
    return cast(T, _Faulty(real, faults, who or type(real).__name__, frozenset(spare)))


class _Faulty:
    def __init__(self, real: object, faults: Faults, who: str, spare: frozenset[str]) -> None:
        self._real = real
        self._faults = faults
        self._who = who
        self._spare = spare

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        if name in self._spare or not inspect.iscoroutinefunction(method):
            return method
        full = f"{self._who}.{name}"

        async def call(*args: Any, **kwargs: Any) -> Any:
            what = full + "".join(message_name(arg) for arg in args[1:2]) + " patiently" * bool(kwargs.get("patience"))
            fault = self._faults.strikes(what)
            if fault is None:
                return await method(*args, **kwargs)
            self._faults.under_way += 1
            try:
                return await self._struck(fault, what, partial(method, *args, **kwargs), kwargs.get("timeout", 10.0))
            finally:
                self._faults.under_way -= 1

        setattr(self, name, call)  # so that it is made once
        return call

    async def _struck(self, fault: StrEnum, what: str, call: Callable[[], Awaitable[Any]], timeout: float) -> Any:
        if fault is Fault.UNAVAILABLE:
            raise Unavailable(f"{what}: a fault, nothing was done")
        if fault is Fault.HANGS and ".call " in what:  # over the bus: it is promised to end in time
            await asyncio.sleep(timeout)
            raise Unavailable(f"{what}: a fault, nothing was done")
        if fault is Fault.HANGS:
            await asyncio.get_running_loop().create_future()
        if fault is Fault.TWICE:
            await call()
        answer = await call()
        if fault is Fault.LATE:
            await asyncio.sleep(self._faults.late)
        if fault is Fault.LOST:
            raise Unavailable(f"{what}: a fault, it was done")
        return answer


def message_name(value: object) -> str:
    """What is sent, by its type and what makes it another message to its receiver; "" for what is no message."""
    match value:
        case Reports():
            return f" Reports{' complete' * value.complete}{' up' * bool(value.up)}{' down' * bool(value.down)}"
        case DhcpWanted():
            return " DhcpWanted" if value.networks else " DhcpWanted all"
        case HostEvents():
            return f" HostEvents {value.events[0].name}"
        case _:
            return f" {type(value).__name__}" if type(value).__module__ == "moorage.wire.messages" else ""


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
    await show_no_task(before, clean)
    for at in range(len(clean.calls)):
        if calls is None or at in calls:
            for kind in kinds or tuple(Fault):
                faults = Faults(kind, at, lasting, late)
                yield faults
                await show_no_task(before, faults)


async def show_no_task(before: set[asyncio.Task[Any]], faults: object) -> None:
    await asyncio.sleep(0)  # for what is being cancelled
    left = asyncio.all_tasks() - before
    assert not left, f"{faults}: tasks were left over: {left}"
