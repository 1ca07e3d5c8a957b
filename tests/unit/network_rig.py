"""A network service on a SQLite in memory, with a scripted world around it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Never
from uuid import UUID

from tests.asgi import Answer as HttpAnswer
from tests.asgi import ask

from moorage.adapters.database.network import SqlNetworkStore
from moorage.adapters.database.network_tables import NETWORK
from moorage.adapters.database.sqlite import open_sqlite
from moorage.adapters.memory.clock import LoopClock
from moorage.domain.caller import Caller
from moorage.domain.errors import NotFound, Unavailable
from moorage.domain.events import ExternalEvent
from moorage.domain.hops import Fact
from moorage.domain.ids import ProjectId, UserId
from moorage.kit.mount import Mount
from moorage.network.http.app import make_app
from moorage.network.service import NetworkService
from moorage.seams.bus import Handler
from moorage.seams.external_events import Answer
from moorage.wire.messages import AgentHeartbeat, DetailsWanted, DhcpReady, DhcpWanted, Message, PortMark, Reports

DEMO, OTHER = ProjectId("d" * 32), ProjectId("e" * 32)
CALLERS = {
    "demo": Caller(user=UserId("demo"), project=DEMO, roles=frozenset({"member"})),
    "other": Caller(user=UserId("other"), project=OTHER, roles=frozenset({"member"})),
    "nova": Caller(user=UserId("nova"), project=ProjectId("5" * 32), roles=frozenset({"service"})),
    "admin": Caller(user=UserId("admin"), project=ProjectId("a" * 32), roles=frozenset({"admin"})),
}
SERVER = "abcdef12-2222-3333-4444-55555555abcd"


class Tokens:
    async def verify(self, token: str) -> Caller:
        if token not in CALLERS:
            raise NotFound("unknown token")
        return CALLERS[token]


@dataclass
class SilentBus:
    """Takes casts and serves nobody; `is_full` refuses them."""

    casts: list[tuple[str, Message]] = field(default_factory=list)
    is_full: bool = False

    async def cast(self, queue: str, message: Message) -> None:
        if self.is_full:
            raise Unavailable(f"the queue {queue} is full")
        self.casts.append((queue, message))

    async def call(self, queue: str, message: Message, *, timeout: float = 10.0) -> Message:
        raise Unavailable(f"{queue} does not answer")

    async def serve(self, queue: str, handler: Handler) -> Never:
        raise Unavailable("nobody is served here")

    async def reconnects(self) -> AsyncIterator[None]:
        return
        yield


@dataclass
class Facts:
    told: list[Fact] = field(default_factory=list)

    def tell(self, fact: Fact) -> None:
        self.told.append(fact)


class NoCompute:
    async def post(self, events: Sequence[ExternalEvent]) -> Answer:
        raise Unavailable("no compute here")


@dataclass(frozen=True)
class Rig:
    store: SqlNetworkStore
    service: NetworkService
    bus: SilentBus
    facts: Facts
    app: Mount

    async def ask(self, method: str, path: str, body: object = None, *, by: str = "demo", **more: Any) -> HttpAnswer:
        return await ask(self.app, method, f"/network{path}", body, token=by, **more)

    async def make(self, kind: str, *, by: str = "demo", **fields: Any) -> Any:
        """One thing made over HTTP, as it is shown."""
        plural = kind.replace("_", "-") + "s"
        answer = await self.ask("POST", f"/v2.0/{plural}", {kind: fields}, by=by)
        assert answer.status == 201, answer.body
        return answer.json[kind]

    async def show(self, kind: str, thing: str, *, by: str = "nova") -> Any:
        answer = await self.ask("GET", f"/v2.0/{kind.replace('_', '-')}s/{thing}", by=by)
        assert answer.status == 200, answer.body
        return answer.json[kind]

    async def network(self, cidr: str = "10.0.0.0/24", **fields: Any) -> tuple[Any, Any]:
        network = await self.make("network", name="net", **fields)
        return network, await self.make("subnet", network_id=network["id"], cidr=cidr)

    async def agent(self, host: str, *, has_dhcp: bool = False) -> None:
        started = self.service.clock.now()
        await self.service.agents.handle(AgentHeartbeat(host=host, started_at=started, has_dhcp=has_dhcp, devices=0))

    async def bound_port(self, network: Any, host: str = "h1", generation: str | None = "g1") -> Any:
        profile = {} if generation is None else {"plug_generation": generation, "nic": 0}
        return await self.make(
            "port",
            by="nova",
            network_id=network["id"],
            project_id=DEMO,
            device_id=SERVER,
            device_owner="compute:nova",
            **{"binding:host_id": host, "binding:profile": profile},
        )

    async def ask_details(self, port: str, sequence: int, *, host: str = "h1", generation: str | None = "g1") -> Any:
        marks = (PortMark(port=port, generation=generation),)
        return await self.service.agents.handle(DetailsWanted(host=host, epoch=1, sequence=sequence, ports=marks))

    async def report_up(self, port: str, sequence: int, *, host: str = "h1", generation: str | None = "g1") -> None:
        marks = (PortMark(port=port, generation=generation),)
        await self.service.agents.handle(Reports(host=host, epoch=1, sequence=sequence, up=marks))

    async def dhcp_ready(self, port: str, *, host: str = "h1") -> None:
        """As if the DHCP server had read this port as it is now."""
        marks = [mark for spec in (await self.dhcp_wanted(host)).networks for mark in spec.marks if mark.port == port]
        await self.service.agents.handle(DhcpReady(host=host, marks=tuple(marks)))

    async def dhcp_wanted(self, host: str) -> Any:
        return await self.service.agents.handle(DhcpWanted(host=host, networks=()))


def make_rig() -> Rig:
    clock, facts, bus = LoopClock(), Facts(), SilentBus()
    store = SqlNetworkStore(open_sqlite(None, NETWORK), clock)
    numbers = count(1)
    service = NetworkService(
        store=store,
        bus=bus,
        clock=clock,
        timeline=facts,
        external_events=NoCompute(),
        new_id=lambda: str(UUID(int=next(numbers))),
        new_mac=lambda: f"fa:16:3e:00:{next(numbers) // 256:02x}:{next(numbers) % 256:02x}",
    )

    async def nothing(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("a request beside the network")

    mount = Mount(nothing)
    mount.add("network", make_app(service, Tokens()))
    return Rig(store, service, bus, facts, mount)
