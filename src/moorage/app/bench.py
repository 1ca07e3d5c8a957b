"""The bench: how long the handshake takes, boot by boot, beside the floor that no handshake can beat."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from statistics import median
from typing import Any, Protocol

from moorage.app import boots
from moorage.app.config import HostKind
from moorage.app.private_cloud import Access, Say
from moorage.app.results import HopTime, between_ms, hop_times, plugged_to_running_ms
from moorage.domain.errors import MoorageError
from moorage.domain.hops import HOPS, Hop

DEVICES = {HostKind.SIMULATED: "simulated", HostKind.NETNS: "veth", HostKind.QEMU: "tap"}
FLOOR_ROUNDS = 20  # at least, where boots run side by side; one after each boot where they do not
LOOK_EVERY = 0.002  # seconds, for each boot that runs beside the others
MOST_PAUSES = 4  # where boots run side by side: each lets them run out


@dataclass(frozen=True)
class Sample:
    """One boot as it was measured."""

    is_active: bool
    hops: tuple[HopTime, ...]
    plugged_to_running_ms: float | None
    addressed_at: datetime | None

    def at(self, hop: Hop) -> datetime | None:
        return next((time.at for time in self.hops if time.hop is hop), None)

    @property
    def plugged_to_woken_ms(self) -> float | None:
        return between_ms(self.at(Hop.PLUGGED), self.at(Hop.WOKEN))

    @property
    def asked_to_address_ms(self) -> float | None:
        return between_ms(self.at(Hop.ASKED), self.addressed_at)


@dataclass(frozen=True)
class Pause:
    """When all stood still for the floor to be measured."""

    began: datetime
    seconds: float


@dataclass(frozen=True)
class Spread:
    min: float | None
    median: float | None
    p99: float | None


@dataclass(frozen=True)
class Handshake:
    """What `bench handshake --json` says."""

    host_kind: str
    device: str
    boots: int  # that became ACTIVE
    asked: int
    concurrency: int
    boots_per_s: float | None
    addresses_per_s: float | None
    plugged_to_running_ms: Spread
    plugged_to_woken_ms: Spread
    asked_to_address_ms: Spread
    hops: Mapping[Hop, Spread]
    floor_ms: float | None


async def handshake(access: Access, *, count: int, concurrency: int, say: Say) -> Handshake:
    """Boot `count` servers, `concurrency` at a time, each deleted once it has its address: the bridge does not grow.

    One that is not counted goes before: it starts the network's DHCP server, and all that a cloud does only once.
    The floor is taken in turn with the boots: in a pause that begins when each of the guests under way has its address,
    so that as many ports are on the bridge as boots have beside them, and nothing else runs.
    """
    workers = min(concurrency, count)
    pauses = Pauses(access.cloud, workers, turns=count // workers)
    samples: list[Sample] = []

    async def boot_in_turn(first: int) -> None:
        for turn, number in enumerate(range(first, count, workers)):
            if workers == 1:
                await access.cloud.settled()  # one at a time: the guest before is gone from the switch as well
            stand_still = partial(pauses.take, turn)
            samples.append(await sample(access, f"bench-{number}", stand_still, every=max(0.01, LOOK_EVERY * workers)))

    say("booting a first guest, which is not counted")
    await sample(access, "bench-first", nothing_to_take_part_in)
    say(f"booting {count} guests, {concurrency} at a time; each is deleted once it has its address")
    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(boot_in_turn(number))
    return assembled(
        access.cloud.settings.host_kind, samples, pauses.floor, concurrency=concurrency, pauses=pauses.taken
    )


class Switch(Protocol):
    """What of a Cloud the floor needs."""

    async def settled(self) -> None: ...

    async def floor_round(self) -> float: ...


async def nothing_to_take_part_in() -> None:
    """For a boot beside which the floor is not measured."""


class Pauses:
    """When all stand still, and rounds of the floor are taken: after each boot where there is one at a time; else in
    a few turns, evenly spread, so that boots mostly run side by side as they come."""

    def __init__(self, cloud: Switch, workers: int, *, turns: int) -> None:
        self._cloud = cloud
        self._all_are_here = asyncio.Barrier(workers)
        self._turns = range(0, turns, 1 if workers == 1 else math.ceil(turns / MOST_PAUSES))
        self._rounds = 1 if workers == 1 else math.ceil(FLOOR_ROUNDS / len(self._turns))
        self.floor: list[float] = []
        self.taken: list[Pause] = []

    async def take(self, turn: int) -> None:
        """Take part in this turn's pause, if there is one."""
        if turn not in self._turns:
            return
        if await self._all_are_here.wait() == 0:
            began = datetime.now(UTC)
            for _ in range(self._rounds):
                self.floor.append(await self._cloud.floor_round())
            await self._cloud.settled()
            self.taken.append(Pause(began, (datetime.now(UTC) - began).total_seconds()))
        await self._all_are_here.wait()


async def sample(
    access: Access, name: str, stand_still: Callable[[], Awaitable[None]], *, every: float = 0.01
) -> Sample:
    """One boot: asked, running, addressed, (all stand still), deleted. A boot that fails is a sample too.

    The address is looked for each `every` seconds: whoever looks shares the processor with the boots.
    """
    try:
        server = await boots.ask(access, name)
    except MoorageError:
        await stand_still()
        return Sample(False, hop_times([]), None, None)
    # Mostly the address is waited for, which costs the control plane nothing: its APIs are asked only now and then.
    address = None
    while address is None:
        address = await boots.addressed(access, server, limit=0.5, every=every)
        if address is None:
            body = await access.member.server(server)
            if body is None or body["status"] == "ERROR":
                break
            if body["status"] == "ACTIVE":
                address = await boots.addressed(access, server)
                break
    addressed_at = None if address is None else datetime.now(UTC)
    body = await boots.ended(access, server, every=max(0.02, every))
    is_active = body["status"] == "ACTIVE"
    facts = await boots.told(access, server, boots.LAST_TOLD if is_active else ())
    await boots.port_of(access, server)
    await stand_still()
    await boots.gone(access, server)
    return Sample(is_active, hop_times(facts), plugged_to_running_ms(facts), addressed_at)


def assembled(
    kind: HostKind, samples: Sequence[Sample], floor: Sequence[float], *, concurrency: int, pauses: Sequence[Pause] = ()
) -> Handshake:
    """The figures of these boots; only those that became ACTIVE are counted and measured.

    The rates leave out the pauses, in which nothing was booted because the floor was measured.
    """
    active = [sample for sample in samples if sample.is_active]
    by_hop = {
        hop: [time.ms for sample in active for time in sample.hops if time.hop is hop and time.ms is not None]
        for hop in HOPS
    }
    asked = [at for sample in active if (at := sample.at(Hop.ASKED)) is not None]
    running = [at for sample in active if (at := sample.at(Hop.RUNNING)) is not None]
    addressed = [sample.addressed_at for sample in active if sample.addressed_at is not None]
    return Handshake(
        host_kind=kind.value,
        device=DEVICES[kind],
        boots=len(active),
        asked=len(samples),
        concurrency=concurrency,
        boots_per_s=per_second(len(running), asked, running, pauses),
        addresses_per_s=per_second(len(addressed), asked, addressed, pauses),
        plugged_to_running_ms=spread(known(sample.plugged_to_running_ms for sample in active)),
        plugged_to_woken_ms=spread(known(sample.plugged_to_woken_ms for sample in active)),
        asked_to_address_ms=spread(known(sample.asked_to_address_ms for sample in active)),
        hops={hop: spread(times) for hop, times in by_hop.items()},
        floor_ms=round(median(floor), 3) if floor else None,
    )


def handshake_json(found: Handshake) -> Mapping[str, Any]:
    overhead, ratio = beside_floor(found.plugged_to_running_ms.median, found.floor_ms)
    return {
        "host_kind": found.host_kind,
        "device": found.device,
        "boots": found.boots,
        "concurrency": found.concurrency,
        "boots_per_s": found.boots_per_s,
        "addresses_per_s": found.addresses_per_s,
        "plugged_to_running_ms": spread_json(found.plugged_to_running_ms),
        "plugged_to_woken_ms": spread_json(found.plugged_to_woken_ms),
        "asked_to_address_ms": spread_json(found.asked_to_address_ms),
        "hops": {hop.value: spread_json(times) for hop, times in found.hops.items()},
        "floor_ms": {"median": found.floor_ms},
        "overhead_ms": overhead,
        "ratio_to_floor": ratio,
    }


def spread_json(times: Spread) -> Mapping[str, float | None]:
    return {"min": times.min, "median": times.median, "p99": times.p99}


def beside_floor(middle: float | None, floor: float | None) -> tuple[float | None, float | None]:
    """What the handshake costs above its floor: in ms, and as a ratio."""
    if middle is None or floor is None:
        return None, None
    return round(middle - floor, 3), round(middle / floor, 3) if floor > 0 else None


def known(times: Iterable[float | None]) -> list[float]:
    return [time for time in times if time is not None]


def spread(times: Sequence[float]) -> Spread:
    """The least, the median, and the time that 99 of 100 do not exceed (nearest rank)."""
    if not times:
        return Spread(None, None, None)
    ordered = sorted(times)
    rank = max(math.ceil(0.99 * len(ordered)), 1)
    return Spread(round(ordered[0], 3), round(median(ordered), 3), round(ordered[rank - 1], 3))


def per_second(
    count: int, asked: Sequence[datetime], reached: Sequence[datetime], pauses: Sequence[Pause] = ()
) -> float | None:
    """How many a second, from the first that was asked to the last that got there, but for the pauses between."""
    if not asked or not reached:
        return None
    last = max(reached)
    seconds = (last - min(asked)).total_seconds() - sum(pause.seconds for pause in pauses if pause.began < last)
    return round(count / seconds, 3) if seconds > 0 else None
