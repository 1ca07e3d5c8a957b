"""A schedule lived through in a cloud, and everything that must be true at its end."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.story.clouds import Story, story, until
from tests.story.faults import Faults, show_no_task
from tests.story.history import History
from tests.story.mishaps import MishapBus
from tests.story.scenes import Scene, sound
from tests.story.schedule import Deed, Happening
from tests.story.soundness import outbox

from moorage.adapters.memory.bus import MemoryBus
from moorage.domain.errors import Unavailable
from moorage.domain.ids import NetworkId
from moorage.domain.server import Server, VmState

REQUESTS: Mapping[Deed, tuple[Mapping[str, object], str]] = {
    Deed.STOP: ({"os-stop": None}, "stopped"),
    Deed.START: ({"os-start": None}, "active"),
    Deed.REBOOT: ({"reboot": {"type": "SOFT"}}, "active"),
    Deed.REBOOT_HARD: ({"reboot": {"type": "HARD"}}, "active"),
    Deed.PAUSE: ({"pause": None}, "paused"),
    Deed.UNPAUSE: ({"unpause": None}, "active"),
    Deed.SUSPEND: ({"suspend": None}, "suspended"),
    Deed.RESUME: ({"resume": None}, "active"),
}
FORGETTING = 45.0  # seconds in which news of a server that is gone dies


@dataclass
class Day:
    """`wanted`: the states that each server's user may find it in, by what was accepted."""

    cloud: Story
    faults: Faults
    mishaps: Faults
    is_rough: bool
    scenes: dict[int, Scene] = field(default_factory=dict)
    wanted: dict[int, set[str]] = field(default_factory=dict)
    _turns: defaultdict[int, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def live(self, happenings: Sequence[Happening]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            for happening in happenings:
                await asyncio.sleep(max(0.0, began + happening.when - loop.time()))
                group.create_task(self._happen(happening)).add_done_callback(lambda _: None)
        self.faults.arm(None)
        self.mishaps.arm(None)

    async def _happen(self, one: Happening) -> None:
        cloud = self.cloud
        host, world = cloud.hosts[one.which % len(cloud.hosts)], cloud.worlds[one.which % len(cloud.hosts)]
        match one.deed:
            case Deed.CALLS:
                _arm(self.faults, one)
            case Deed.MESSAGES:
                _arm(self.mishaps, one)
            case Deed.AGENT:
                await _away(host.agent.stop, host.agent.start, one.away)
            case Deed.COMPUTE:
                await _away(host.slot.stop, host.slot.start, one.away)
            case Deed.SERVICE:
                service = cloud.services[("network", "compute")[one.which]]
                await _away(service.stop, service.start, one.away)
            case Deed.VSWITCHD:
                world.switch.stop_switch()
                await asyncio.sleep(one.away)
                world.switch.start_switch()
            case Deed.OVSDB:
                world.switch.database_down = True
                await asyncio.sleep(one.away)
                world.switch.database_down = False
            case Deed.DHCP:
                for network in await world.dhcp.serving():
                    world.dhcp.dies(network)
            case Deed.BUS:
                await _memory_bus(cloud).interrupt(one.away)
            case Deed.CUT:
                world.gate.is_cut = True
                await asyncio.sleep(one.away)
                world.gate.is_cut = False
            case _:
                async with self._turns[one.which]:
                    await self._ask(one)

    async def _ask(self, one: Happening) -> None:
        """What a user asks of one server, one thing after the other; who had no answer may find it done or not."""
        if one.deed is Deed.CREATE:
            scene = Scene(self.cloud, f"vm-{one.which}", NetworkId(self.cloud.network_id))
            await scene.ask()
            self.scenes[one.which], self.wanted[one.which] = scene, {"active"}
            return
        scene = self.scenes[one.which]
        if one.deed is Deed.DELETE:
            await scene.delete()
            self.wanted[one.which] = {"deleted"}
            return
        if one.deed is Deed.REBUILD:
            row = await scene.row()
            body: Mapping[str, object] = {"rebuild": {"imageRef": row.image}}
            state = "stopped" if row.life.vm is VmState.STOPPED else "active"
        else:
            body, state = REQUESTS[one.deed]
        try:
            reply = await self.cloud.compute.call("POST", f"/servers/{scene.server}/action", body)
            status = reply.status
        except Unavailable:
            status = 503
        if status == 202:
            self.wanted[one.which] = {state}
        elif status >= 500:
            self.wanted[one.which] |= {state}

    async def end(self, history: History, wrong: list[str]) -> None:
        """Add what is wrong once all is quiet: first with the servers as they are, then with what they leave."""
        for number, scene in sorted(self.scenes.items()):
            state, row = await scene.rests(), await scene.row()
            if state not in self.wanted[number] and not (state == "error" and self._is_true(row)):
                wrong.append(f"{scene.name} is {state}, and should be {self.wanted[number]}: {row.fault}")
        wrong += await _complaints(lambda: sound(self.cloud, within=75))
        for scene in self.scenes.values():
            if (await scene.row()).life.vm is not VmState.DELETED:
                await scene.delete()
                await scene.rests()
        wrong += await _complaints(lambda: sound(self.cloud, within=75))
        wrong += await self._ports()
        await next(iter(self.scenes.values())).close()
        wrong += await _complaints(lambda: sound(self.cloud, within=75))
        wrong += await _complaints(self._is_told)
        wrong += history.complaints() + await self._left()

    async def _ports(self) -> list[str]:
        """What would keep the network from being deleted."""
        ports = await self.cloud.seams["the network store"].ports(None)
        return [f"port {port} is left" for port in ports if not port.device_owner.startswith("network:")]

    def _is_true(self, row: Server) -> bool:
        """Whether the fault may be true. Short troubles are no reason for any."""
        return self.is_rough and row.fault is not None and "internal error" not in row.fault.message

    async def _is_told(self) -> None:
        async def is_empty() -> bool:
            return not await outbox(self.cloud)

        await until(is_empty, within=FORGETTING)

    async def _left(self) -> list[str]:
        left = []
        for world in self.cloud.worlds:
            things = (await world.hypervisor.states(), await world.switch.look(), await world.dhcp.serving())
            left += [f"left on {world.name}: {thing}" for thing in things if thing]
        return left


async def lived(happenings: Sequence[Happening], *, hosts: int = 2, is_rough: bool = False) -> list[str]:
    """Everything that is wrong at the end of this day; [] when nothing is."""
    before = asyncio.all_tasks()
    faults, mishaps, history = Faults(late=4.0), Faults(late=4.0), History()
    wrong: list[str] = []
    async with story(timeout=300, hosts=hosts, faults=faults, mishaps=mishaps, listening=history.watch) as cloud:
        day = Day(cloud, faults, mishaps, is_rough)
        try:
            await day.live(happenings)
            await day.end(history, wrong)
        except* AssertionError as errors:
            wrong += map(str, errors.exceptions)
    await show_no_task(before, "at the end")
    return wrong


def _arm(faults: Faults, one: Happening) -> None:
    faults.arm(one.kind, at=one.at)
    faults.lasting = one.lasting


async def _away(stop: Callable[[], Awaitable[None]], start: Callable[[], None], seconds: float) -> None:
    await stop()
    await asyncio.sleep(seconds)
    start()


def _memory_bus(cloud: Story) -> MemoryBus:
    bus = cloud.plane.parts.bus
    assert isinstance(bus, MishapBus)
    assert isinstance(bus.real, MemoryBus)
    return bus.real


async def _complaints(check: Callable[[], Awaitable[None]]) -> list[str]:
    try:
        await check()
    except AssertionError as error:
        return [str(error)]
    return []
