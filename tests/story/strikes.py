"""One fault at each call of a tale in turn, all in one cloud: what must be true after each, and how soon."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tests.story.clouds import Story
from tests.story.faults import Fault, Faults
from tests.story.scenes import Scene, scene, sound

from moorage.agent.agent import LOOK_EVERY
from moorage.app.deadlines import CALL, GUESTS, ON_THE_BUS, STORE
from moorage.compute.manager import RECONCILE_EVERY, STOP_PATIENCE
from moorage.compute.sweeping import SWEEP_EVERY
from moorage.domain.hops import Hop

LATE = 4.0  # seconds: within every limit
AT_ONCE = 2.0  # seconds that a fault may cost beside what the call itself takes
OUT_OF_SCOPE = ("the identity store", "the image store")  # no part of a boot
READS = frozenset(
    {"show", "hosts", "flavor", "list", "networks", "subnets", "ports", "agents", "default_group", "next_due"}
    | {"look", "plugged", "wired", "state", "states", "serving", "security_groups", "live_agents"}
)
READING = ("RecordWanted", "UnfinishedWanted", "LookBegins")
# Where nobody is told that something was done, who looks by itself finds it: after so many seconds.
LEASES = {
    "the server store.update": RECONCILE_EVERY,  # its caller got an error; the host looks for what is unfinished
    "the server store.add": 2.0,  # likewise; the placer looks
}
LOOKS = LOOK_EVERY  # seconds: an agent's full look heals what the network did and could not say
SWEEPS = 2 * SWEEP_EVERY  # seconds: a second port that was made for one NIC


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


@dataclass
class Told:
    """What came of one telling: how long it took, and what is wrong."""

    call: Call | None
    kind: Fault | None
    seconds: float = 0.0
    is_struck: bool = False
    healed: float = 0.0  # seconds until all fitted together, after the server was at rest
    gone: float = 0.0  # … and after it was deleted
    failure: str = ""

    def __str__(self) -> str:
        return f"{self.call} {self.kind}: {self.verdict()}"

    def verdict(self) -> str:
        """What is wrong with it; "" when nothing is."""
        if self.failure or self.call is None or self.kind is None:
            return self.failure
        late = self.seconds - cost(self.call.name, self.kind) - LEASES.get(self.call.name, 0.0)
        heals = SWEEPS if "create_port" in self.call.name else LOOKS
        if late > AT_ONCE:
            return f"took {self.seconds:.1f} s, {late:.1f} s too long"
        if max(self.healed, self.gone) > heals + AT_ONCE:
            return f"things fitted together after {self.healed:.1f} s, and after its end {self.gone:.1f} s"
        return ""


def kinds_for(name: str) -> Sequence[Fault]:
    """The faults that differ: to read twice is nothing, to read in vain is to get no answer."""
    method = name.partition(".")[2].split(" ")[0]
    is_read = method in READS or name.endswith(READING)
    return [Fault.UNAVAILABLE, Fault.HANGS, Fault.LATE] if is_read else list(Fault)


def cost(name: str, kind: Fault) -> float:
    """The seconds that a call takes which meets this fault."""
    if kind is Fault.HANGS:
        method = name.partition(".")[2].split(" ")[0]
        limit = GUESTS.get(method) or ON_THE_BUS.get(method) or (STORE if "store" in name else CALL)
        return limit + (STOP_PATIENCE if name.endswith(" patiently") else 0.0)
    return LATE if kind is Fault.LATE else 0.0


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


async def tell(tale: Tale, cloud: Story, faults: Faults, call: Call | None, kind: Fault | None) -> Told:
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
