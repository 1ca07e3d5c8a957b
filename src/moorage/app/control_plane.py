"""The control plane's services in one process, spoken to through one ASGI application and one bus."""

import secrets
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Never

from moorage.adapters.buffered.timeline import BufferedTimeline
from moorage.adapters.http.session import Session
from moorage.adapters.http.transport import InProcess
from moorage.adapters.memory.metrics import MemoryMetrics
from moorage.app.databases import Databases, close, in_memory
from moorage.app.deadlines import ON_THE_BUS, limited
from moorage.app.health import Health, SilentHosts
from moorage.app.observing import ObservedTimeline
from moorage.app.serving.compute_api import make_compute_api
from moorage.app.serving.doors import make_doors
from moorage.app.serving.identity import make_identity
from moorage.app.serving.image import make_image
from moorage.app.serving.network import make_network
from moorage.app.serving.part import Changing, Part, Surroundings, unchanged
from moorage.app.serving.timeline import make_timeline
from moorage.compute_api.service import ComputeApiService
from moorage.domain.agent import is_alive
from moorage.domain.ids import HostName
from moorage.identity.service import IdentityService
from moorage.image.service import ImageService
from moorage.kit.mount import Asgi, Mount
from moorage.kit.supervise import supervise
from moorage.network.service import NetworkService
from moorage.seams.bus import Bus
from moorage.seams.clock import Clock
from moorage.seams.image_files import ImageFiles
from moorage.seams.metrics import Metrics
from moorage.seams.passwords import Passwords
from moorage.seams.timeline import Timeline

INSIDE = "http://moorage"  # the base URL of calls that never leave the process


@dataclass(frozen=True)
class Parts:
    """What a control plane is built on, and closes at its end."""

    bus: Bus
    clock: Clock
    passwords: Passwords
    image_files: ImageFiles
    private_key: bytes  # PEM, Ed25519
    user_passwords: Mapping[str, str]  # of those whom identity begins with
    databases: Databases = field(default_factory=in_memory)
    changing: Changing = unchanged
    around_timeline: Callable[[Timeline], Timeline] = lambda timeline: timeline  # for stories: who listens in
    metrics: Metrics = field(default_factory=MemoryMetrics)


@dataclass(frozen=True)
class ControlPlane:
    """Give `run` to a supervisor after `bootstrap`. `app` answers /identity, /image, /compute, /network, /timeline
    and what is outside of the APIs (`root`). Whoever tells the timeline in this process tells `observed`."""

    parts: Parts
    app: Asgi
    services: Sequence[Part[object]]
    identity: IdentityService
    image: ImageService
    compute: ComputeApiService
    network: NetworkService
    telling: BufferedTimeline
    observed: ObservedTimeline
    health: Health

    async def bootstrap(self) -> None:
        """Users, roles, projects, flavors: what is missing of them. Repeatable."""
        for service in self.services:
            await service.begin()

    async def run(self) -> Never:
        runners = [runner for service in self.services for runner in service.runners]
        await supervise([*runners, ("telling", self.telling.run)])

    async def heard(self) -> Set[HostName]:
        """The hosts whose compute and agent are both alive, by their heartbeats."""
        now = self.parts.clock.now()
        computes = {host.state.name for host in await self.compute.store.hosts() if host.state.is_alive(now)}
        return computes & {agent.host for agent in await self.network.store.agents() if is_alive(agent, now)}

    def session(self, path: str, user: str = "nova", project: str = "service") -> Session:
        """A user's way to one of the services, without a socket."""
        return _session(self.app, self.identity, path, user, project)

    async def close(self) -> None:
        await close(self.parts.databases)


def make_control_plane(parts: Parts) -> ControlPlane:
    """Everything but the hosts. The services meet only through `app`, as they would over HTTP."""
    databases, clock = parts.databases, parts.clock
    bus = limited("the bus", parts.changing("the bus", parts.bus), but=ON_THE_BUS)
    telling = BufferedTimeline(bus)
    observed = ObservedTimeline(telling, parts.metrics)
    app = Mount()
    identity = make_identity(
        databases["identity"],
        clock,
        parts.passwords,
        private_key=parts.private_key,
        user_passwords=parts.user_passwords,
        places={},
    )
    around = Surroundings(
        bus=bus,
        clock=clock,
        timeline=parts.around_timeline(observed),
        verifier=identity.service.verifier,
        sessions=lambda path, user: _session(app, identity.service, path, user, "service"),
        changing=parts.changing,
    )
    image = make_image(databases["image"], parts.image_files, clock, around.verifier)
    compute = make_compute_api(databases["compute"], around)
    network = make_network(databases["network"], around)
    timeline = make_timeline(databases["timeline"], around)
    services = [identity, image, compute, network, timeline]
    health = Health(
        tuple(databases.values()),
        services,
        lambda: telling.dropped,
        also=[SilentHosts(compute.service.store, network.service.store, clock).reasons],
    )
    make_doors(app, services, health, parts.metrics)
    return ControlPlane(
        parts=parts,
        app=app,
        services=services,
        identity=identity.service,
        image=image.service,
        compute=compute.service,
        network=network.service,
        telling=telling,
        observed=observed,
        health=health,
    )


def _session(app: Asgi, identity: IdentityService, path: str, user: str, project: str) -> Session:
    return Session(InProcess(app), f"{INSIDE}/{path}", _IssuedTokens(identity, user, project))


@dataclass
class _IssuedTokens:
    """Tokens of a user of our own process, who need not prove by a password (0.1 s each) what we know."""

    identity: IdentityService
    user: str
    project: str
    _token: str = field(default="", repr=False)
    _renew_at: datetime | None = None

    async def token(self, *, refused: str | None = None) -> str:
        now = self.identity.clock.now()
        if self._token == refused or self._renew_at is None or now >= self._renew_at:
            self._token = await self.identity.issue_for(self.user, self.project)
            self._renew_at = now + self.identity.token_life / 2
        return self._token


def new_password() -> str:
    return secrets.token_urlsafe(18)
