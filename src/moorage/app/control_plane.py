"""The control plane's services on their stores, spoken to through one ASGI application and one bus."""

import secrets
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Never
from uuid import uuid4

from moorage.adapters.buffered.timeline import BufferedTimeline
from moorage.adapters.database.compute import ComputeDatabase
from moorage.adapters.database.identity import DatabaseIdentityStore
from moorage.adapters.database.images import DatabaseImageStore
from moorage.adapters.database.network import SqlNetworkStore
from moorage.adapters.database.timeline import DatabaseFactStore
from moorage.adapters.http.external_events_client import HttpExternalEvents
from moorage.adapters.http.image_client import HttpImageApi
from moorage.adapters.http.network_client import HttpNetworkApi
from moorage.adapters.http.session import Session, error_of
from moorage.adapters.http.transport import InProcess
from moorage.adapters.keys.making import new_key
from moorage.adapters.memory.metrics import MemoryMetrics
from moorage.app.databases import Databases, close, in_memory
from moorage.app.health import Health, WatchedEvents
from moorage.app.metering import counted
from moorage.app.observing import ObservedTimeline
from moorage.app.root import make_root
from moorage.compute_api.bootstrap import bootstrap as bootstrap_flavors
from moorage.compute_api.http.app import make_app as compute_app
from moorage.compute_api.service import ComputeApiService
from moorage.domain.agent import is_alive
from moorage.domain.ids import HostName, ServerId
from moorage.identity.bootstrap import bootstrap as bootstrap_identity
from moorage.identity.http.door import make_app as identity_app
from moorage.identity.revocations import Revocations
from moorage.identity.service import IdentityService
from moorage.identity.tokens import Signer
from moorage.identity.verifier import Verifier
from moorage.image.http import make_app as image_app
from moorage.image.service import ImageService
from moorage.kit.mount import Asgi, Mount
from moorage.kit.supervise import supervise
from moorage.network.http.app import make_app as network_app
from moorage.network.service import NetworkService
from moorage.seams.bus import Bus
from moorage.seams.clock import Clock
from moorage.seams.external_events import ExternalEvents
from moorage.seams.image_files import ImageFiles
from moorage.seams.metrics import Metrics
from moorage.seams.passwords import Passwords
from moorage.seams.timeline import Timeline
from moorage.timeline.http import make_timeline_app
from moorage.timeline.service import TimelineService

INSIDE = "http://moorage"  # the base URL of calls that never leave the process


@dataclass(frozen=True)
class Parts:
    """What a control plane is built on, and closes at its end."""

    bus: Bus
    clock: Clock
    passwords: Passwords
    image_files: ImageFiles
    private_key: bytes  # PEM, Ed25519
    user_passwords: Mapping[str, str]  # of admin, demo, nova, neutron
    databases: Databases = field(default_factory=in_memory)
    around_events: Callable[[ExternalEvents], ExternalEvents] = lambda events: events  # for stories: faults on the way
    around_timeline: Callable[[Timeline], Timeline] = lambda timeline: timeline  # for stories: who listens in
    metrics: Metrics = field(default_factory=MemoryMetrics)


@dataclass(frozen=True)
class ControlPlane:
    """Give `run` to a supervisor after `bootstrap`. `app` answers /identity, /image, /compute, /network, /timeline
    and what is outside of the APIs (`root`). Whoever tells the timeline in this process tells `observed`."""

    parts: Parts
    app: Asgi
    identity: IdentityService
    image: ImageService
    compute: ComputeApiService
    network: NetworkService
    timeline: TimelineService
    telling: BufferedTimeline
    observed: ObservedTimeline
    health: Health

    async def bootstrap(self) -> None:
        """Users, roles, projects, flavors: what is missing of them. Repeatable."""
        await bootstrap_identity(self.identity, self.parts.user_passwords)
        await bootstrap_flavors(self.compute.store)
        await self.image.recover()

    async def run(self) -> Never:
        await supervise(
            [
                ("revocations", self.identity.revocations.follow),
                ("compute API", self.compute.run),
                ("network", self.network.run),
                ("timeline", self.timeline.run),
                ("telling", self.telling.run),
            ]
        )

    async def heard(self) -> Set[HostName]:
        """The hosts whose compute and agent are both alive, by their heartbeats."""
        now = self.parts.clock.now()
        computes = {host.state.name for host in await self.compute.store.hosts() if host.state.is_alive(now)}
        return computes & {agent.host for agent in await self.network.store.agents() if is_alive(agent, now)}

    def session(self, path: str, user: str = "nova", project: str = "service") -> Session:
        """A service user's way to one of the services, without a socket."""
        return _session(self.app, self.identity, path, user, project)

    async def close(self) -> None:
        await close(self.parts.databases)


def make_control_plane(parts: Parts) -> ControlPlane:
    """Everything but the hosts. The services meet only through `app`, as they would over HTTP."""
    databases = parts.databases
    telling = BufferedTimeline(parts.bus)
    observed = ObservedTimeline(telling, parts.metrics)
    told = parts.around_timeline(observed)
    compute_store = ComputeDatabase(databases["compute"])
    network_store = SqlNetworkStore(databases["network"], parts.clock)
    app = Mount()
    identity = _identity(parts, DatabaseIdentityStore(databases["identity"]))
    image = ImageService(DatabaseImageStore(databases["image"]), parts.image_files, parts.clock)
    compute = ComputeApiService(
        store=compute_store,
        bus=parts.bus,
        clock=parts.clock,
        timeline=told,
        network=HttpNetworkApi(_session(app, identity, "network", "nova")),
        images=HttpImageApi(_session(app, identity, "image", "nova")),
        new_id=lambda: str(uuid4()),
        new_key=new_key,
    )
    events = WatchedEvents(parts.around_events(HttpExternalEvents(_session(app, identity, "compute/v2.1", "neutron"))))
    network = NetworkService(
        store=network_store,
        bus=parts.bus,
        clock=parts.clock,
        timeline=told,
        external_events=events,
        new_id=lambda: str(uuid4()),
        new_mac=_new_mac,
    )
    timeline = TimelineService(DatabaseFactStore(databases["timeline"]), parts.bus)
    services: Mapping[str, Asgi] = {
        "identity": identity_app(identity),
        "image": image_app(image, identity.verifier),
        "compute": compute_app(compute, identity.verifier),
        "network": network_app(network, identity.verifier),
        "timeline": make_timeline_app(timeline, identity.verifier, partial(_require_visible, app)),
    }
    for name, service in services.items():
        app.add(name, counted(name, service, parts.metrics))
    health = Health(
        compute_store, network_store, parts.clock, tuple(databases.values()), events, lambda: telling.dropped
    )
    app.add_root(counted("root", make_root(health, parts.metrics), parts.metrics))
    return ControlPlane(parts, app, identity, image, compute, network, timeline, telling, observed, health)


def _identity(parts: Parts, store: DatabaseIdentityStore) -> IdentityService:
    signer = Signer(parts.private_key)
    revocations = Revocations(store.revocations, parts.clock)
    return IdentityService(
        store=store,
        passwords=parts.passwords,
        signer=signer,
        revocations=revocations,
        verifier=Verifier(signer, revocations, parts.clock),
        clock=parts.clock,
    )


def _session(app: Asgi, identity: IdentityService, path: str, user: str, project: str = "service") -> Session:
    return Session(InProcess(app), f"{INSIDE}/{path}", _IssuedTokens(identity, user, project))


@dataclass
class _IssuedTokens:
    """Tokens of a user of our own process, who need not prove by a password (0.1 s each) what we know."""

    identity: IdentityService
    user: str
    project: str
    _token: str = field(default="", repr=False)
    _renew_at: datetime | None = None

    async def token(self, *, fresh: bool = False) -> str:
        now = self.identity.clock.now()
        if fresh or self._renew_at is None or now >= self._renew_at:
            self._token = await self.identity.issue_for(self.user, self.project)
            self._renew_at = now + self.identity.token_life / 2
        return self._token


async def _require_visible(app: Asgi, server: ServerId, token: str) -> None:
    """Raises NotFound unless the bearer of `token` may see the server: compute is asked, as anybody would."""
    reply = await InProcess(app).request("GET", f"{INSIDE}/compute/v2.1/servers/{server}", {"X-Auth-Token": token})
    if reply.status != 200:
        raise error_of(reply, "showing the server")


def _new_mac() -> str:
    return "fa:16:3e:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))


def new_password() -> str:
    return secrets.token_urlsafe(18)
