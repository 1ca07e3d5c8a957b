"""The bare handshake to hold boots against: the same device, bridge, clients and SQLite settings, no services."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from time import perf_counter
from uuid import uuid4

from sqlalchemy import Integer, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from moorage.adapters.database.engine import Database
from moorage.adapters.database.schema import Schema
from moorage.adapters.memory.switch import MemorySwitch
from moorage.app.config import CloudSettings, HostKind
from moorage.app.hosts import Equipment
from moorage.app.serving.part import Runner
from moorage.domain.ids import Generation, NetworkId, PortId, ServerId
from moorage.seams.flow import Flow, Match, Normal
from moorage.seams.switch import Vif, WirePlan
from moorage.seams.world import World

Round = Callable[[Callable[[], Awaitable[None]]], Awaitable[float]]
MAC = "fa:16:3e:ff:ff:fe"
Settled = Callable[[], Awaitable[None]]


class FloorTable(DeclarativeBase):
    """Where each round commits a row."""


class FloorRow(FloorTable):
    __tablename__ = "rounds"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)


FLOOR = Schema("floor", FloorTable.metadata)


class MeasuredFloor:
    """One round after the other, ms each. `settled` returns when the switch has done all that it was told."""

    def __init__(self, database: Database, one_round: Round, settled: Settled) -> None:
        self._database = database
        self._one_round = one_round
        self.settled = settled

    async def round(self) -> float:
        await self.settled()
        return await self._one_round(self._commit)

    async def _commit(self) -> None:
        def work(session: Session) -> None:
            session.execute(insert(FloorRow))

        await self._database.run("the floor's commit", work)


def make_floor(
    equipment: Equipment, settings: CloudSettings, database: Database, runtime: Path | None
) -> tuple[MeasuredFloor, Sequence[Runner]]:
    """The floor of a host, and what must run for it."""
    switch = equipment.plugging
    if isinstance(switch, MemorySwitch):
        memory = switch

        async def in_memory(commit: Callable[[], Awaitable[None]]) -> float:
            return await _round_in_memory(memory, commit)

        return MeasuredFloor(database, in_memory, nothing_to_wait_for), ()
    assert runtime is not None
    assert equipment.world is not None
    return make_real_floor(equipment.world, settings.host_kind, database, runtime / equipment.name)


def make_real_floor(
    world: World, kind: HostKind, database: Database, rundir: Path
) -> tuple[MeasuredFloor, Sequence[Runner]]:
    """The floor of the Open vSwitch that has its sockets in `rundir`; `world` is where its devices are made."""
    from moorage.adapters.ovsdb.floor import Floor

    is_tap = kind is HostKind.QEMU
    floor = Floor(rundir)

    async def on_open_vswitch(commit: Callable[[], Awaitable[None]]) -> float:
        device = "fl" + uuid4().hex[:10]
        if is_tap:
            await world.make_tap(device)
        else:
            await world.make_namespace(device)
            await world.make_cable(device, device, "eth0", mac=MAC)
        try:
            return await floor.round(device, commit)
        finally:
            await (world.remove_link(device) if is_tap else world.remove_namespace(device))

    return MeasuredFloor(database, on_open_vswitch, floor.settled), [("floor", floor.run)]


async def nothing_to_wait_for() -> None:
    """A switch that does at once what it is told."""


async def _round_in_memory(switch: MemorySwitch, commit: Callable[[], Awaitable[None]]) -> float:
    port = PortId(str(uuid4()))
    vif = Vif(port, ServerId(str(uuid4())), MAC, "tap" + port[:11], Generation(uuid4().hex))
    began = perf_counter()
    await switch.plug(vif)
    ofport = await _opened(switch, port)
    flows = tuple(Flow(0, 10 + number, Match(in_port=ofport), (Normal(),)) for number in range(10))
    await switch.wire([WirePlan(port, ofport, 4000, NetworkId("floor"), vif.generation, flows)])
    await commit()
    took = (perf_counter() - began) * 1000
    await switch.unplug(port)
    await switch.unwire([port])
    return took


async def _opened(switch: MemorySwitch, port: PortId) -> int:
    async for bridge in switch.watch():
        found = bridge.get(port)
        if found is not None and found.ofport is not None:
            return found.ofport
    raise AssertionError("the watch ended")
