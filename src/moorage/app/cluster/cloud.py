"""A cluster as `demo` and `bench` see a cloud: through its APIs, and by looks at its host."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from moorage.adapters.database.sqlite import open_sqlite
from moorage.adapters.ovsdb.switch import OvsSwitch
from moorage.adapters.world.living import reach
from moorage.app.client import Client, is_ready, logged_in
from moorage.app.clouds_yaml import ADMIN, MEMBER, account_of
from moorage.app.cluster.building import LOOK_EVERY, READY_WITHIN, Cluster, built
from moorage.app.cluster.furnishing import furnish
from moorage.app.cluster.layout import HOST, Layout, laid_out
from moorage.app.config import CloudSettings
from moorage.app.evidence import Evidence
from moorage.app.floor import FLOOR, MeasuredFloor, make_real_floor
from moorage.app.guests import guests_on
from moorage.app.serving.part import Runner
from moorage.app.watching import seen
from moorage.domain.errors import Invalid, Unavailable
from moorage.domain.ids import NetworkId, ServerId
from moorage.kit.supervise import supervise
from moorage.seams.hypervisor import Hypervisor
from moorage.seams.switch import Plugging
from moorage.seams.world import World

if TYPE_CHECKING:
    from moorage.app.workbench import Workbench


@dataclass(frozen=True)
class _Host:
    """Fulfils evidence.Seen: the host, looked at beside its own processes."""

    hypervisor: Hypervisor
    plugging: Plugging
    world: World


class ClusterCloud:
    """Fulfils moorage.app.cloud.Cloud. `cluster` is None for who only looks at one that another process runs."""

    def __init__(
        self,
        settings: CloudSettings,
        layout: Layout,
        evidence: Evidence,
        floor: MeasuredFloor | None,
        cluster: Cluster | None,
    ) -> None:
        self.settings = settings
        self.url = layout.url("identity")
        self.credentials = layout.credentials
        self.guest_exists = evidence.guest_exists
        self.switch_has_port = evidence.switch_has_port
        self.guest_address = evidence.guest_address
        self._evidence = evidence
        self._floor = floor
        self._cluster = cluster

    def host_names(self) -> list[str]:
        return [HOST]

    async def stop_agent(self, host: str) -> None:
        await self._own().kill("agent")

    async def start_agent(self, host: str) -> None:
        await self._own().start("agent")

    async def ping(self, server: str, address: str, *, patience: float = 5.0) -> bool | None:
        return await self._evidence.ping(server, address, patience=patience)

    async def fetch(self, server: str, address: str, *, port: int = 80, patience: float = 5.0) -> str | None:
        return await self._evidence.fetch(server, address, port=port, patience=patience)

    def workbench(self) -> "Workbench":
        raise Invalid(
            "this bench reaches into a host, which here is processes of their own: leave out --bus, --database"
        )

    async def settled(self) -> None:
        await self._measured().settled()

    async def floor_round(self) -> float:
        return await self._measured().round()

    def _own(self) -> Cluster:
        if self._cluster is None:
            raise Invalid("only the process that runs a cluster starts and ends its parts")
        return self._cluster

    def _measured(self) -> MeasuredFloor:
        if self._floor is None:
            raise Invalid("only the process that runs a cluster measures its floor")
        return self._floor


@asynccontextmanager
async def start_cluster(settings: CloudSettings, say: Callable[[str], None]) -> AsyncIterator[ClusterCloud]:
    """Ready, with an image and a network; it ends with the context, guests and all. Raises Invalid, Unavailable."""
    layout = laid_out(settings)
    async with built(layout, say) as cluster, attached(settings, layout, cluster) as cloud:
        await ready_to_boot(layout)
        yield cloud


async def ready_to_boot(layout: Layout) -> None:
    """Returns when the host has been heard, and there is something to boot from. Raises Unavailable."""
    async with _logged_in(layout, ADMIN) as admin, _logged_in(layout, MEMBER) as member:
        await _heard(admin, layout)
        await furnish(admin, member, layout)


@asynccontextmanager
async def attached(
    settings: CloudSettings, layout: Layout, cluster: Cluster | None = None
) -> AsyncIterator[ClusterCloud]:
    """A cluster that runs. Raises Unavailable."""
    async with AsyncExitStack() as stack:
        holder = await reach(layout.holder)
        stack.callback(holder.let_go)
        world, switch = holder.world(HOST), OvsSwitch(layout.folder("switch"))
        hypervisor, _ = guests_on(layout.kind, HOST, layout.folder("c"), world, layout.folder("r"))
        admin = await stack.enter_async_context(_logged_in(layout, ADMIN))

        async def network_of(server: ServerId) -> NetworkId | None:
            port = await admin.port_of(server)
            return None if port is None else NetworkId(port["network_id"])

        runners: list[Runner] = [("the switch, looked at", switch.run)]
        floor = None
        if cluster is not None:
            table = open_sqlite(layout.place / "floor.sqlite", FLOOR, is_durable=True)
            stack.push_async_callback(table.close)
            floor, more = make_real_floor(cluster.machine, layout.kind, table, layout.folder("switch"))
            runners += more
        await stack.enter_async_context(_running(runners))
        evidence = Evidence([_Host(hypervisor, switch, world)], network_of)
        yield ClusterCloud(settings, layout, evidence, floor, cluster)


@asynccontextmanager
async def _running(runners: list[Runner]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        owner = group.create_task(supervise(runners))
        try:
            yield
        finally:
            owner.cancel()


def _logged_in(layout: Layout, who: str) -> AbstractAsyncContextManager[Client]:
    return logged_in(account_of(layout.url("identity"), layout.credentials[who]))


async def _heard(admin: Client, layout: Layout) -> None:
    """Returns when servers can be booted: compute and agent have been heard, and hear. Raises Unavailable."""

    async def look() -> bool | None:
        if not all([await is_ready(layout.url(process)) for process in layout.ports]):
            return None
        computes, agents = await admin.services(), await admin.agents()
        is_so = any(one["state"] == "up" for one in computes) and any(one["alive"] for one in agents)
        return True if is_so else None

    if await seen(look, limit=READY_WITHIN, every=LOOK_EVERY) is None:
        raise Unavailable(f"no word from {HOST} within {READY_WITHIN:g} s")
