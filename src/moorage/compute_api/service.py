"""Compute API as one thing: its parts put together, and its loops."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Never

from moorage.compute_api.acting import Acting
from moorage.compute_api.asking import Asking
from moorage.compute_api.external_events import Hearing
from moorage.compute_api.grouping import Grouping
from moorage.compute_api.limits import Limits
from moorage.compute_api.placing import Placer
from moorage.compute_api.rebuilding import Rebuilding
from moorage.compute_api.records import Records
from moorage.domain.ids import ProjectId
from moorage.kit.supervise import supervise
from moorage.seams.bus import Bus
from moorage.seams.clock import Clock
from moorage.seams.image_api import ImageApi
from moorage.seams.network_api import NetworkApi
from moorage.seams.server_store import ServerStore
from moorage.seams.timeline import Timeline


@dataclass(frozen=True)
class ComputeApiService:
    store: ServerStore
    bus: Bus
    clock: Clock
    timeline: Timeline
    network: NetworkApi
    images: ImageApi
    new_id: Callable[[], str]  # a dashed UUID
    new_key: Callable[[str], tuple[str, str]]  # of a type (ssh, x509): the private key, and its public half
    limits: Limits = field(default_factory=Limits)

    @cached_property
    def placer(self) -> Placer:
        return Placer(self.store, self.bus, self.clock, self.timeline, self.network, self.new_id)

    @cached_property
    def records(self) -> Records:
        return Records(self.store, self.bus, self.clock, self.timeline, self.placer, self.new_id)

    @cached_property
    def asking(self) -> Asking:
        return Asking(
            store=self.store,
            network=self.network,
            images=self.images,
            clock=self.clock,
            timeline=self.timeline,
            new_id=self.new_id,
            limits=self.limits,
            asked=self.placer.ask,
        )

    @cached_property
    def acting(self) -> Acting:
        return Acting(self.store, self.bus, self.clock, self.timeline, self.placer, self.new_id)

    @cached_property
    def rebuilding(self) -> Rebuilding:
        return Rebuilding(self.acting, self.store, self.images, self.limits)

    @cached_property
    def grouping(self) -> Grouping:
        return Grouping(self.acting, self.network)

    @cached_property
    def hearing(self) -> Hearing:
        return Hearing(self.store, self.bus, self.clock, self.timeline)

    async def limits_of(self, project: ProjectId) -> Limits:
        return self.limits.with_own(await self.store.quotas(project))

    def new_password(self) -> str:
        """An `adminPass`, as answers must have one; no guest is told it."""
        return self.new_id().replace("-", "")[:12]

    async def run(self) -> Never:
        """Answer hosts and place servers until cancelled."""
        await supervise([("records", self.records.run), ("placing", self.placer.run)])
