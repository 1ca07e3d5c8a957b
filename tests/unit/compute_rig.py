"""Compute API on its own: a small model of the network and of images, hosts that the test plays, and an HTTP client."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from falcon.testing import ASGIConductor, Result

from moorage.adapters.database.compute import ComputeDatabase
from moorage.adapters.database.compute_tables import COMPUTE
from moorage.adapters.database.sqlite import open_sqlite
from moorage.adapters.keys.making import new_key
from moorage.adapters.memory.bus import MemoryBus
from moorage.adapters.memory.clock import LoopClock
from moorage.compute_api.bootstrap import bootstrap
from moorage.compute_api.http.app import make_app
from moorage.compute_api.limits import Limits
from moorage.compute_api.service import ComputeApiService
from moorage.domain.caller import Caller
from moorage.domain.errors import NotFound, Unavailable
from moorage.domain.hops import Fact
from moorage.domain.ids import HostName, ImageId, NetworkId, PortId, ProjectId, ServerId, UserId
from moorage.domain.server import NicInfo, Server
from moorage.kit.retry import retry
from moorage.seams.image_api import ImageInfo
from moorage.seams.network_api import GroupInfo, NetworkInfo, NetworkPort
from moorage.wire.messages import (
    Console,
    ConsoleWanted,
    DoJob,
    HostEvents,
    HostHeartbeat,
    JobDone,
    JobFailed,
    Leave,
    LeaveWanted,
    Message,
    NicsKnown,
    PlugBegan,
    Record,
    RecordWanted,
)

PROJECT, OTHER = ProjectId("a" * 32), ProjectId("b" * 32)
IMAGE = ImageId("11111111-1111-4111-8111-111111111111")
NETWORK = NetworkId("22222222-2222-4222-8222-222222222222")
PORT = PortId("33333333-3333-4333-8333-333333333333")
START = datetime(2026, 1, 1, tzinfo=UTC)

CALLERS = {
    "member": Caller(UserId("c" * 32), PROJECT, frozenset({"member", "reader"})),
    "other": Caller(UserId("d" * 32), OTHER, frozenset({"member", "reader"})),
    "admin": Caller(UserId("e" * 32), PROJECT, frozenset({"admin", "member", "reader"})),
    "service": Caller(UserId("f" * 32), OTHER, frozenset({"service"})),
}


class Tokens:
    """A token is the name of one of CALLERS."""

    async def verify(self, token: str) -> Caller:
        if token not in CALLERS:
            raise NotFound("no such token")
        return CALLERS[token]


@dataclass
class ModelNetwork:
    """Networks and ports as the Network API would show them."""

    nets: dict[NetworkId, NetworkInfo] = field(default_factory=dict)
    known_ports: dict[PortId, NetworkPort] = field(default_factory=dict)
    groups: dict[str, str] = field(
        default_factory=lambda: {"default": "55555555-0000-4000-8000-000000000005"}
    )  # name -> id
    deleted: list[PortId] = field(default_factory=list)
    unbound: list[PortId] = field(default_factory=list)

    async def networks(
        self, *, ids: Sequence[NetworkId] | None = None, project: ProjectId | None = None
    ) -> Sequence[NetworkInfo]:
        return [
            net
            for net in self.nets.values()
            if (ids is None or net.id in ids) and (project is None or net.shared or net.project == project)
        ]

    async def ports(
        self,
        *,
        ids: Sequence[PortId] | None = None,
        device: ServerId | None = None,
        host: HostName | None = None,
    ) -> Sequence[NetworkPort]:
        return [
            port
            for port in self.known_ports.values()
            if (ids is None or port.id in ids)
            and (device is None or port.device_id == device)
            and (host is None or port.host == host)
        ]

    async def live_agents(self) -> frozenset[HostName]:
        return frozenset()

    async def security_groups(self, project: ProjectId, names: Sequence[str]) -> Sequence[GroupInfo]:
        known = {word: GroupInfo(id, name) for name, id in self.groups.items() for word in (name, id)}
        missing = [name for name in names if name not in known]
        if missing:
            raise NotFound(f"Unable to find security_group with name or id '{missing[0]}'")
        return [known[name] for name in names]

    async def create_port(
        self,
        *,
        network: NetworkId,
        project: ProjectId,
        device: ServerId,
        owner: str,
        host: HostName,
        profile: Mapping[str, Any],
        fixed_ip: str | None = None,
        security_groups: Sequence[str] | None = None,
    ) -> NetworkPort:
        port = a_port(PortId(f"44444444-4444-4444-8444-{len(self.known_ports):012}"), project, device=device)
        self.known_ports[port.id] = replace(port, network=network, host=host, profile=profile)
        return self.known_ports[port.id]

    async def bind_port(
        self, port: NetworkPort, *, device: ServerId, owner: str, host: HostName, profile: Mapping[str, Any]
    ) -> NetworkPort:
        self.known_ports[port.id] = replace(port, device_id=device, device_owner=owner, host=host, profile=profile)
        return self.known_ports[port.id]

    async def set_groups(self, port: NetworkPort, groups: Sequence[str]) -> None:
        self.known_ports[port.id] = replace(port, security_groups=tuple(groups))

    async def unbind_port(self, port: NetworkPort) -> None:
        self.known_ports[port.id] = replace(self.known_ports[port.id], device_id="", device_owner="", host="")
        self.unbound.append(port.id)

    async def delete_port(self, port: NetworkPort) -> None:
        del self.known_ports[port.id]
        self.deleted.append(port.id)


def a_port(port: PortId = PORT, project: ProjectId = PROJECT, *, device: str = "") -> NetworkPort:
    return NetworkPort(
        id=port,
        network=NETWORK,
        project=project,
        mac="fa:16:3e:00:00:01",
        status="DOWN",
        admin_state_up=True,
        addresses=("10.0.0.5",),
        device_id=device,
        device_owner="compute:nova" if device else "",
        host="",
        vif_type="unbound",
        profile={},
        security_groups=(),
        revision=1,
    )


@dataclass
class ModelImages:
    known: dict[ImageId, ImageInfo] = field(default_factory=dict)

    async def show(self, image: ImageId, project: ProjectId) -> ImageInfo:
        if image not in self.known:
            raise NotFound(f"Image {image} could not be found.")
        return self.known[image]

    async def fetch(self, image: ImageId, into: Path) -> None:
        raise NotFound(f"Image {image} has no data.")


@dataclass
class Told:
    """A timeline that is read in place."""

    facts: list[Fact] = field(default_factory=list)

    def tell(self, fact: Fact) -> None:
        self.facts.append(fact)


@dataclass
class Cloud:
    """Compute API with the hosts that the test has started."""

    service: ComputeApiService
    bus: MemoryBus
    network: ModelNetwork
    images: ModelImages
    told: Told
    conductor: ASGIConductor
    group: asyncio.TaskGroup
    tasks: list[asyncio.Task[Any]]

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "member",
        version: str | None = None,
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Result:
        given = dict(headers or {})
        if token is not None:
            given["X-Auth-Token"] = token
        if version is not None:
            given["OpenStack-API-Version"] = f"compute {version}"
        path, _, query = path.partition("?")
        extra: dict[str, Any] = {"json": body} if body is not None else {}
        if raw is not None:
            extra = {"body": raw}
            given.setdefault("Content-Type", "application/json")
        answer: Result = await self.conductor.simulate_request(method, path, query_string=query, headers=given, **extra)
        return answer

    async def boot(self, name: str = "vm", *, token: str = "member", **more: Any) -> str:
        """POST a server and return its id."""
        wanted = {"name": name, "flavorRef": "1", "imageRef": IMAGE, **more}
        answer = await self.call("POST", "/v2.1/servers", {"server": wanted}, token=token)
        assert answer.status_code == 202, answer.text
        return str(answer.json["server"]["id"])

    async def show(self, server: str, *, token: str = "admin", version: str | None = None) -> dict[str, Any]:
        answer = await self.call("GET", f"/v2.1/servers/{server}", token=token, version=version)
        assert answer.status_code == 200, answer.text
        return dict(answer.json["server"])

    async def until(self, server: str, status: str) -> dict[str, Any]:
        """The server once it has this status, and no task."""
        async with asyncio.timeout(120):
            while True:
                view = await self.show(server)
                if view["status"] == status and view["OS-EXT-STS:task_state"] is None:
                    return view
                await asyncio.sleep(0.05)

    async def until_gone(self, server: str) -> None:
        async with asyncio.timeout(120):
            while (await self.call("GET", f"/v2.1/servers/{server}")).status_code != 404:
                await asyncio.sleep(0.05)

    async def record(self, server: str) -> Server:
        return await self.service.store.show(ServerId(server), project=None, is_deleted=None)

    async def start_host(self, name: str, **more: Any) -> "Host":
        host = Host(name, self.bus, **more)
        self.bus_task(host)
        await retry(host.beat, on=Unavailable, first=0.001)  # compute API may just be starting
        return host

    def bus_task(self, host: "Host") -> None:
        host.tasks = [self.group.create_task(host.serve()), self.group.create_task(host.beat_for_ever())]
        self.tasks += host.tasks


@dataclass
class Host:
    """A host that does what it is told, at once: jobs end well unless `fails` says otherwise."""

    name: str
    bus: MemoryBus
    memory_mib: int = 4096
    is_idle: bool = False  # takes jobs, and never does them
    fails: str = ""  # the message of every boot's failure
    is_elsewhere_possible: bool = False
    jobs: list[str] = field(default_factory=list)
    events: list[HostEvents] = field(default_factory=list)
    leaves: list[bool] = field(default_factory=list)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    async def beat(self) -> None:
        await self.bus.call(
            "compute-api",
            HostHeartbeat(
                host=self.name,
                vcpus=8,
                memory_mib=self.memory_mib,
                disk_gib=100,
                hypervisor_type="fake",
                started_at=START,
            ),
        )

    async def beat_for_ever(self) -> None:
        while True:
            await asyncio.sleep(3)
            await self.beat()

    async def serve(self) -> None:
        await self.bus.serve(f"compute.{self.name}", self.handle)

    def die(self) -> None:
        for task in self.tasks:
            task.cancel()

    async def handle(self, message: Message) -> Message | None:
        match message:
            case DoJob():
                self.jobs.append(message.server)
                if not self.is_idle:
                    await self.do(message.server)
            case HostEvents():
                self.events.append(message)
            case ConsoleWanted():
                return Console(output=b"one\ntwo\nthree\n")
        return None

    async def do(self, server: str) -> None:
        answer = await self.bus.call("compute-api", RecordWanted(server=server, host=self.name))
        assert isinstance(answer, Record)
        if answer.server is None:
            return
        row = answer.server
        match row.life.task:
            case "deleting":
                await self.say(row, "deleted")
            case "powering-off":
                await self.say(row, "stopped")
            case "rebooting":
                await self.say(row, "rebooted")
            case _:
                await self.bring_up(row)

    async def bring_up(self, row: Server) -> None:
        if self.fails:
            failed = JobFailed(
                server=row.id,
                host=self.name,
                attempt=row.attempt,
                message=self.fails,
                details=f"on {self.name}",
                is_elsewhere_possible=self.is_elsewhere_possible,
            )
            await self.bus.call("compute-api", failed)
            return
        nics = tuple(
            NicInfo(PORT, NETWORK, "private", "fa:16:3e:00:00:01", (f"10.0.0.{index + 5}",), is_ours=True)
            for index, _ in enumerate(row.nics_wanted)
        )
        await self.bus.call("compute-api", PlugBegan(server=row.id, host=self.name, attempt=row.attempt, deadline=None))
        await self.bus.call("compute-api", NicsKnown(server=row.id, host=self.name, attempt=row.attempt, nics=nics))
        leave = await self.bus.call("compute-api", LeaveWanted(server=row.id, host=self.name, attempt=row.attempt))
        assert isinstance(leave, Leave)
        self.leaves.append(leave.granted)
        if leave.granted:
            await self.say(row, "booted")

    async def say(self, row: Server, event: str) -> Message:
        done = JobDone(server=row.id, host=self.name, attempt=row.attempt, event=event)
        return await self.bus.call("compute-api", done)


@asynccontextmanager
async def cloud(*hosts: str, limits: Limits | None = None) -> AsyncIterator[Cloud]:
    """Compute API that runs, with these hosts, one network and one image."""
    bus, network, images, told = MemoryBus(), ModelNetwork(), ModelImages(), Told()
    network.nets[NETWORK] = NetworkInfo(NETWORK, "private", 1450, PROJECT, shared=False, subnets=("s1",))
    images.known[IMAGE] = ImageInfo(IMAGE, "tiny", "active", 0, 0, "raw", "bare")
    numbers = count(1)
    database = open_sqlite(None, COMPUTE)
    service = ComputeApiService(
        store=ComputeDatabase(database),
        bus=bus,
        clock=LoopClock(),
        timeline=told,
        network=network,
        images=images,
        new_id=lambda: str(UUID(int=next(numbers), version=4)),
        new_key=new_key,
        limits=limits or Limits(),
    )
    await bootstrap(service.store)
    app = make_app(service, Tokens())
    async with asyncio.TaskGroup() as group, ASGIConductor(app) as conductor:
        run = group.create_task(service.run())
        made = Cloud(service, bus, network, images, told, conductor, group, [run])
        await asyncio.sleep(0)
        for host in hosts:
            await made.start_host(host)
        try:
            yield made
        finally:
            for task in made.tasks:
                task.cancel()
    await database.close()
