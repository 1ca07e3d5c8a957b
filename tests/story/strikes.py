"""One fault at each call of a tale in turn, all in one cloud: what must be true after each, and how soon."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum

from tests.story.clouds import Story
from tests.story.faults import Faults, show_no_task
from tests.story.scenes import Scene, scene, sound

from moorage.domain.hops import Hop

AT_ONCE = 2.0  # seconds that a fault may cost beside what is allowed for it
OUT_OF_SCOPE = ("the identity store", "the image store")  # no part of a boot


@dataclass(frozen=True)
class Tale:
    """`prepare` comes before the faults, `act` is struck, and `ends` is the server's vm_state afterwards."""

    name: str
    act: Callable[[Scene], Awaitable[None]]
    ends: str = "active"
    prepare: Callable[[Scene], Awaitable[None]] | None = None


@dataclass(frozen=True)
class Call:
    """The `nth` call of this name in a tale, from 0; `moment` is the last hop that had been told."""

    name: str
    nth: int
    moment: str

    def __str__(self) -> str:
        return f"{self.name} #{self.nth} after {self.moment or 'nothing'}"


Strikes = Sequence[tuple[Call, StrEnum]]


@dataclass(frozen=True)
class Allowed:
    """Seconds that a struck tale may take, and until all fits together after it."""

    seconds: float = 0.0
    heals: float = 0.0


@dataclass
class Told:
    """What came of one telling: how long it took, and what is wrong."""

    call: Call | None
    kind: StrEnum | None
    seconds: float = 0.0
    is_struck: bool = False
    healed: float = 0.0  # seconds until all fitted together, after the server was at rest
    gone: float = 0.0  # … and after it was deleted
    failure: str = ""

    def verdict(self, allowed: Allowed) -> str:
        """What is wrong with it; "" when nothing is."""
        wrong = self.failure
        if not wrong and self.seconds > allowed.seconds + AT_ONCE:
            wrong = f"took {self.seconds:.1f} s, {self.seconds - allowed.seconds:.1f} s too long"
        if not wrong and max(self.healed, self.gone) > allowed.heals + AT_ONCE:
            wrong = f"things fitted together after {self.healed:.1f} s, and after its end {self.gone:.1f} s"
        return f"{self.call} {self.kind}: {wrong}" if wrong else ""


async def calls_of(tale: Tale, cloud: Story, faults: Faults) -> Sequence[Call]:
    """Every call that is made in a clean telling."""
    found: list[Call] = []
    counted: Counter[str] = Counter()
    began = 0

    def note(name: str) -> None:
        hops = [fact.what.value for fact in cloud.facts[began:] if isinstance(fact.what, Hop)]
        if not name.startswith(OUT_OF_SCOPE):
            found.append(Call(name, counted[name], hops[-1] if hops else ""))
        counted[name] += 1

    async def act(now: Scene) -> None:
        nonlocal began
        began = len(cloud.facts)
        faults.noting = note
        await tale.act(now)
        await now.rests()
        faults.noting = lambda name: None

    told = await tell(Tale(tale.name, act, tale.ends, tale.prepare), cloud, faults, None, None)
    assert not told.failure, told.failure
    return found


async def tell(tale: Tale, cloud: Story, faults: Faults, call: Call | None, kind: StrEnum | None) -> Told:
    """Tell the tale once, with a fault at one call. The cloud is sound afterwards, or what failed is told."""
    told = Told(call, kind)
    loop = asyncio.get_running_loop()
    try:
        async with scene(cloud, f"{tale.name.replace(' ', '-')}-{loop.time():.6f}") as now:
            if tale.prepare is not None:
                await tale.prepare(now)
            await sound(cloud, within=5)
            faults.arm(kind, None if call is None else call.name, 0 if call is None else call.nth)
            began = loop.time()
            await tale.act(now)
            ended = await now.rests()
            told.seconds = loop.time() - began
            told.is_struck = bool(faults.struck)
            faults.arm(None)
            assert ended == tale.ends, f"{ended}: {(await now.row()).fault}"
            while faults.under_way:
                await asyncio.sleep(0.5)
            ended_at = loop.time()
            await sound(cloud, within=70)
            told.healed = loop.time() - ended_at
            await now.close()
            closed_at = loop.time()
            await sound(cloud, within=70)
            told.gone = loop.time() - closed_at
    except AssertionError as error:
        faults.arm(None)
        told.failure = str(error).partition("\n")[0]
    return told


async def tell_all(
    tale: Tale,
    open_cloud: Callable[[Faults], AbstractAsyncContextManager[Story]],
    chosen: Callable[[Sequence[Call]], Strikes],
    *,
    late: float,
) -> Sequence[Told]:
    """Tell the tale with each of the strikes that are `chosen` of its calls. Fails when a task is left over.

    Where one telling has failed, the next is told in a cloud that is whole.
    """
    before = asyncio.all_tasks()
    strikes: Strikes = []
    told: list[Told] = []
    while not strikes or len(told) < len(strikes):
        faults = Faults(late=late)
        async with open_cloud(faults) as cloud:
            strikes = strikes or chosen(await calls_of(tale, cloud, faults))
            for call, kind in strikes[len(told) :]:
                told.append(await tell(tale, cloud, faults, call, kind))
                if told[-1].failure:
                    break
        await show_no_task(before, told[-1])
    assert sum(one.is_struck for one in told) > 0.7 * len(told)  # some end before they come to their call
    return told
