"""Whole clouds for stories: the real control plane and hosts in memory, on virtual time, spoken to through the APIs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from tests.story.faults import Faults, faulty
from tests.story.gates import Gate, GatedBus, gated
from tests.story.mishaps import MishapBus
from tests.story.worlds import Restartable, Simulated, equipment, new_world

from moorage.adapters.files.private_key import make_private_key
from moorage.adapters.http.image_client import HttpImageApi
from moorage.adapters.http.network_client import HttpNetworkApi
from moorage.adapters.http.session import Session
from moorage.adapters.memory.bus import MemoryBus
from moorage.adapters.memory.changes import Changes
from moorage.adapters.memory.clock import LoopClock
from moorage.adapters.memory.image_files import MemoryImages
from moorage.adapters.memory.passwords import MemoryPasswords
from moorage.app.control_plane import ControlPlane, Parts, make_control_plane
from moorage.app.hosts import Host, Outside, make_host
from moorage.app.serving.part import Changing
from moorage.compute.boot import PluggingRules
from moorage.domain.errors import NotFound
from moorage.domain.hops import HOPS, Fact, Hop
from moorage.domain.identity import Project
from moorage.domain.ids import PortId, ProjectId, ServerId
from moorage.image.bootstrap import register_placeholder
from moorage.kit.slot import Slot
from moorage.kit.supervise import supervise
from moorage.seams.bus import Bus
from moorage.seams.external_events import ExternalEvents
from moorage.seams.timeline import Timeline

T = TypeVar("T")
USERS = {name: f"{name}-secret" for name in ("admin", "demo", "nova", "neutron", "glance")}
ENDLESS = ("serve", "appended")  # of the bus, of the outbox
_key = cache(make_private_key)


@dataclass
class Story:
    """A running cloud. `compute` and `network` speak as the user demo."""

    plane: ControlPlane
    hosts: list[Host]
    worlds: list[Simulated]
    compute: Session
    network: Session
    network_id: str
    image_id: str
    seams: dict[str, Any]  # of the control plane, by name, without their faults
    facts: list[Fact] = field(default_factory=list)
    telling: Changes = field(default_factory=Changes)  # tells of each fact
    services: dict[str, Restartable] = field(default_factory=dict)  # of the control plane: "network", "compute"

    @property
    def host(self) -> Host:
        return self.hosts[0]

    @property
    def world(self) -> Simulated:
        return self.worlds[0]

    async def create(self, name: str = "web", **changes: Any) -> ServerId:
        """Ask for a server; returns at once."""
        wanted = {
            "name": name,
            "imageRef": self.image_id,
            "flavorRef": "1",
            "networks": [{"uuid": self.network_id}],
            **changes,
        }
        answer = await self.compute.json("POST", "/servers", {"server": wanted})
        return ServerId(answer["server"]["id"])

    async def show(self, server: ServerId) -> dict[str, Any] | None:
        """The server, None once it is gone."""
        try:
            shown = await self.compute.json("GET", f"/servers/{server}")
        except NotFound:
            return None
        return shown["server"]  # type: ignore[no-any-return]

    async def status(self, server: ServerId) -> str | None:
        """The server's status once no task is under way; "…" while one is; None once it is gone."""
        shown = await self.show(server)
        if shown is None:
            return None
        return "…" if shown["OS-EXT-STS:task_state"] else str(shown["status"])

    async def settled(self, server: ServerId, *, within: float) -> str | None:
        """The status once nothing is under way. Fails when that takes longer than `within` virtual seconds."""

        async def is_settled() -> str | None:
            status = await self.status(server)
            return None if status in ("…", "BUILD") else status or "gone"

        return await until(is_settled, within=within)

    async def act(self, server: ServerId, action: dict[str, Any]) -> None:
        reply = await self.compute.call("POST", f"/servers/{server}/action", action)
        assert reply.status == 202, reply

    async def delete(self, server: ServerId) -> None:
        reply = await self.compute.call("DELETE", f"/servers/{server}")
        assert reply.status in (204, 404), reply

    async def ports(self, server: ServerId | str) -> list[dict[str, Any]]:
        session = self.plane.session("network")
        return (await session.json("GET", f"/v2.0/ports?device_id={server}"))["ports"]  # type: ignore[no-any-return]

    async def port(self, server: ServerId) -> dict[str, Any]:
        [port] = await self.ports(server)
        return port

    def hops(self, server: ServerId) -> dict[Hop, float]:
        """When each hop was told first for the server, in virtual seconds."""
        told: dict[Hop, float] = {}
        for fact in self.facts:
            if fact.server == server and isinstance(fact.what, Hop):
                told.setdefault(fact.what, fact.monotonic)
        return {hop: told[hop] for hop in HOPS if hop in told}

    async def no_trace(self, server: ServerId) -> str:
        """What is left of a server anywhere; "" when nothing is."""
        left = [f"port {port['id']} {port['status']}" for port in await self.ports(server)]
        for world in self.worlds:
            if server in await world.hypervisor.states():
                left.append(f"guest on {world.name}")
            vifs = (await world.switch.plugged()).values()
            left += [f"VIF {vif.port} on {world.name}" for vif in vifs if vif.server == server]
        return ", ".join(left)


async def until(look: Callable[[], Awaitable[T | None]], *, within: float, every: float = 0.005) -> T:
    """What `look` finds, as soon as it finds something. Fails after `within` virtual seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(within):
            while True:
                found = await look()
                if found:
                    return found
                await asyncio.sleep(max(every, min(0.25, (loop.time() - began) / 20)))
    except TimeoutError:
        raise AssertionError(f"not within {within:g} s") from None


class _Telling:
    """A timeline that keeps what it is told for the story, and passes it on."""

    def __init__(self, facts: list[Fact], telling: Changes, real: Timeline) -> None:
        self._facts = facts
        self._telling = telling
        self._real = real

    def tell(self, fact: Fact) -> None:
        self._facts.append(fact)
        self._telling.tell()
        self._real.tell(fact)


@asynccontextmanager
async def story(
    *,
    timeout: float = 30.0,
    is_fatal: bool = True,
    hosts: int = 1,
    faults: Faults | None = None,
    mishaps: Faults | None = None,
    around_events: Callable[[ExternalEvents], ExternalEvents] = lambda events: events,
    real: MemoryBus | None = None,
    listening: Changing | None = None,
    images: Path | None = None,
) -> AsyncIterator[Story]:
    """A cloud with a network, an image and `hosts` simulated hosts, all heard. `faults` strike all that is called,
    `mishaps` messages on the bus; `listening` is put around the control plane's seams, inside of the faults.
    `images`: a directory into which hosts fetch their guests' images."""
    clock = LoopClock()
    real = real or MemoryBus()
    bus: Bus = real if mishaps is None else MishapBus(real, mishaps)
    facts: list[Fact] = []
    telling = Changes()
    strike = faults or Faults()
    seams: dict[str, Any] = {}
    gates = {"network": Gate(), "compute": Gate()}

    def around(name: str, seam: T, /) -> T:
        seams[name] = seam
        changed: Any = seam if listening is None else listening(name, seam)
        if name == "external events":
            changed = gated(around_events(changed), gates["compute"])
        if name == "the Network API":
            changed = gated(changed, gates["network"])
        return cast(T, faulty(changed, strike, who=name, spare=ENDLESS))

    def session(service: str, path: str) -> Session:
        real = plane.session(path, "demo", "demo")
        return replace(real, transport=gated(real.transport, gates[service]))

    plane = make_control_plane(
        Parts(
            bus=bus,
            clock=clock,
            passwords=MemoryPasswords(),
            image_files=MemoryImages(),
            private_key=_key(),
            user_passwords=USERS,
            changing=around,
            around_timeline=lambda timeline: _Telling(facts, telling, timeline),
        )
    )
    host_bus = faulty(bus, strike, who="a host's bus", spare=ENDLESS)
    network_api = gated(HttpNetworkApi(plane.session("network")), gates["network"])
    network_api = faulty(network_api, strike, who="a host's Network API")
    outside = Outside(
        bus=host_bus,
        network=network_api,
        images=faulty(HttpImageApi(plane.session("image")), strike, who="a host's Image API"),
        clock=clock,
        timeline=_Telling(facts, telling, plane.observed),
        rules=PluggingRules(timeout, is_fatal),
    )
    worlds = [new_world(number) for number in range(1, hosts + 1)]
    made = [
        make_host(
            equipment(world, strike, images),
            replace(outside, bus=GatedBus(host_bus, world.gate), network=gated(network_api, world.gate)),
        )
        for world in worlds
    ]
    try:
        await plane.bootstrap()
        [project] = await plane.identity.store.find(Project, {"name": "admin"})
        image = await register_placeholder(plane.image, ProjectId(project.id))
        async with asyncio.TaskGroup() as group:
            runners = {name: run for service in plane.services for name, run in service.runners}
            services = {
                name: Restartable(Slot(runners.pop(runner)), gates[name])
                for name, runner in (("network", "network"), ("compute", "compute API"))
            }
            eternal = [
                *runners.items(),
                ("telling", plane.telling.run),
                *((name, service.slot.run) for name, service in services.items()),
                *((f"host {host.equipment.name}", host.run) for host in made),
            ]
            if isinstance(bus, MishapBus):
                eternal.append(("mishaps", bus.run))
            owner = group.create_task(supervise(eternal))
            try:
                network, compute = session("network", "network"), session("compute", "compute/v2.1")
                await _all_heard(plane, made)
                network_id = await _make_network(network)
                strike.calls.clear()
                yield Story(
                    plane, made, worlds, compute, network, network_id, image.id, seams, facts, telling, services
                )
            finally:
                owner.cancel()
    finally:
        await plane.close()


async def _all_heard(plane: ControlPlane, hosts: list[Host]) -> None:
    names = {host.equipment.name for host in hosts}

    async def are_heard() -> bool:
        return names <= await plane.heard()

    await until(are_heard, within=10)


async def _make_network(network: Session) -> str:
    made = (await network.json("POST", "/v2.0/networks", {"network": {"name": "private"}}))["network"]
    subnet = {"network_id": made["id"], "ip_version": 4, "cidr": "10.0.0.0/24"}
    await network.json("POST", "/v2.0/subnets", {"subnet": subnet})
    return str(made["id"])


def a_port(port: dict[str, Any]) -> PortId:
    return PortId(port["id"])
