"""The bench: how long the handshake takes, boot by boot, beside the floor that no handshake can beat."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

from moorage.app import boots
from moorage.app.config import HostKind
from moorage.app.private_cloud import Access, Say
from moorage.app.results import HopTime, hop_times, plugged_to_running_ms
from moorage.domain.errors import MoorageError
from moorage.domain.hops import HOPS, Hop

DEVICES = {HostKind.SIMULATED: "simulated", HostKind.NETNS: "internal", HostKind.QEMU: "tap"}
FLOOR_ROUNDS = 20  # before, and again after boots that run side by side


@dataclass(frozen=True)
class Sample:
    """One boot as it was measured."""

    is_active: bool
    hops: tuple[HopTime, ...]
    plugged_to_running_ms: float | None
    addressed_at: datetime | None

    def at(self, hop: Hop) -> datetime | None:
        return next((time.at for time in self.hops if time.hop is hop), None)


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
    hops: Mapping[Hop, Spread]
    floor_ms: float | None


async def handshake(access: Access, *, count: int, concurrency: int, say: Say) -> Handshake:
    """Boot `count` servers, `concurrency` at a time, each deleted once it has its address: the bridge does not grow.

    One at a time, a round of the floor is taken in turn with each boot; side by side, before and after them.
    """
    cloud = access.cloud
    samples: list[Sample] = []
    floor: list[float] = []
    waiting = iter(range(count))
    is_in_turn = concurrency == 1

    async def boot_in_turn() -> None:
        for number in waiting:
            if is_in_turn:
                floor.append(await cloud.add_floor_round())
            samples.append(await sample(access, f"bench-{number}"))

    if not is_in_turn:
        floor += await cloud.floor(FLOOR_ROUNDS)
    say(f"booting {count} guests, {concurrency} at a time; each is deleted once it has its address")
    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, count)):
            group.create_task(boot_in_turn())
    if not is_in_turn:
        floor += await cloud.floor(FLOOR_ROUNDS)
    return assembled(cloud.settings.host_kind, samples, floor, concurrency=concurrency)


async def sample(access: Access, name: str) -> Sample:
    """One boot: asked, running, addressed, deleted. A boot that fails is a sample too."""
    try:
        server = await boots.ask(access, name)
    except MoorageError:
        return Sample(False, hop_times([]), None, None)
    # Mostly the address is waited for, which costs the control plane nothing: its APIs are asked only now and then.
    address = None
    while address is None:
        address = await boots.addressed(access, server, limit=0.5)
        if address is None:
            body = await access.member.server(server)
            if body is None or body["status"] == "ERROR":
                break
            if body["status"] == "ACTIVE":
                address = await boots.addressed(access, server)
                break
    addressed_at = None if address is None else datetime.now(UTC)
    body = await boots.ended(access, server)
    is_active = body["status"] == "ACTIVE"
    facts = await boots.told(access, server, boots.LAST_TOLD if is_active else ())
    await boots.port_of(access, server)
    await boots.gone(access, server)
    return Sample(is_active, hop_times(facts), plugged_to_running_ms(facts), addressed_at)


def assembled(kind: HostKind, samples: Sequence[Sample], floor: Sequence[float], *, concurrency: int) -> Handshake:
    """The figures of these boots; only those that became ACTIVE are counted and measured."""
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
        boots_per_s=per_second(len(running), asked, running),
        addresses_per_s=per_second(len(addressed), asked, addressed),
        plugged_to_running_ms=spread(
            [sample.plugged_to_running_ms for sample in active if sample.plugged_to_running_ms is not None]
        ),
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


def spread(times: Sequence[float]) -> Spread:
    """The least, the median, and the time that 99 of 100 do not exceed (nearest rank)."""
    if not times:
        return Spread(None, None, None)
    ordered = sorted(times)
    rank = max(math.ceil(0.99 * len(ordered)), 1)
    return Spread(round(ordered[0], 3), round(median(ordered), 3), round(ordered[rank - 1], 3))


def per_second(count: int, asked: Sequence[datetime], reached: Sequence[datetime]) -> float | None:
    """How many a second, from the first that was asked to the last that got there."""
    if not asked or not reached:
        return None
    seconds = (max(reached) - min(asked)).total_seconds()
    return round(count / seconds, 3) if seconds > 0 else None
