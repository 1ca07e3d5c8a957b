"""A host's compute put together (hops bound, plugged, woken, running). It holds no database, and needs no privilege."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog

from moorage.adapters.http.image_client import HttpImageApi
from moorage.adapters.http.network_client import HttpNetworkApi
from moorage.adapters.qemu.command_line import Accelerator
from moorage.app.config import HostKind
from moorage.app.deadlines import GUESTS, IMAGES, ON_THE_BUS, limited
from moorage.app.guests import capacity_of, find_accelerator, guests_on
from moorage.app.metering import timed_looks
from moorage.app.serving.host import placed
from moorage.app.serving.process import Listening, Process, serving
from moorage.app.serving.settings import Acceleration, ServeSettings
from moorage.compute.boot import Boot, PluggingRules
from moorage.compute.expectations import Expectations
from moorage.compute.images import Images
from moorage.compute.manager import Capacity, ComputeHost
from moorage.compute.nics import Nics
from moorage.compute.records import Records
from moorage.domain.ids import Generation, HostName, PortId, ServerId
from moorage.seams.bus import Bus
from moorage.seams.clock import Clock
from moorage.seams.hypervisor import Hypervisor
from moorage.seams.image_api import ImageApi
from moorage.seams.metrics import Metrics
from moorage.seams.network_api import NetworkApi
from moorage.seams.switch import Plugging
from moorage.seams.timeline import Timeline

USER = "nova"

log = structlog.get_logger(__name__)


def make_compute(
    host: HostName,
    *,
    bus: Bus,
    network: NetworkApi,
    images: ImageApi,
    clock: Clock,
    timeline: Timeline,
    rules: PluggingRules,
    metrics: Metrics,
    life: str,  # of the host's world: guests that ran in an earlier one are off
    plugging: Plugging,
    hypervisor: Hypervisor,
    image_directory: Path | None,
    capacity: Capacity,
) -> ComputeHost:
    boots: list[Boot] = []

    def woken(server: ServerId, port: PortId, generation: Generation, why: str) -> None:
        boots[0].told_woken(server, port, generation, why)

    bus = limited("the bus", bus, but=ON_THE_BUS)
    network = limited("the Network API", network)
    boot = Boot(
        host=host,
        rules=rules,
        records=Records(bus, host, life),
        nics=Nics(network, host),
        switch=limited("the switch", plugging),
        hypervisor=limited("the hypervisor", hypervisor, but=GUESTS),
        images=Images(limited("the Image API", images, but=IMAGES), image_directory),
        expectations=Expectations(timed_looks(network, metrics), clock, woken),
        clock=clock,
        timeline=timeline,
    )
    boots.append(boot)
    return ComputeHost(boot, bus, capacity)


@asynccontextmanager
async def serve(settings: ServeSettings) -> AsyncIterator[None]:
    ours, host = settings.compute, settings.host
    assert ours is not None
    assert host is not None
    async with AsyncExitStack() as stack:
        process = Process(settings, stack)
        stack.enter_context(structlog.contextvars.bound_contextvars(host=host.name))  # on each line of its tasks
        place = await stack.enter_async_context(placed(process, host, ours.state_dir, "compute"))
        ways = await process.calling(USER)
        bus, timeline = await process.bus()
        accelerator = await _accelerator(ours.acceleration, ours.kind, place.state / "cache")
        for directory in (place.state / "images", place.state / "guests", ours.run_dir / place.name / "qmp"):
            directory.mkdir(mode=0o770, parents=True, exist_ok=True)
        # whom guests run as is the holder's setting: without a privilege there is nothing that we could change
        hypervisor, runners = guests_on(ours.kind, place.name, ours.state_dir, place.world, ours.run_dir, accelerator)
        compute = make_compute(
            place.name,
            bus=bus,
            network=HttpNetworkApi(ways("network", USER)),
            images=HttpImageApi(ways("image", USER)),
            clock=process.clock,
            timeline=timeline,
            rules=PluggingRules(ours.vif_plugging_timeout, ours.vif_plugging_is_fatal),
            metrics=process.metrics,
            life=place.life,
            plugging=place.switch,
            hypervisor=hypervisor,
            image_directory=place.state / "images" if ours.kind is HostKind.QEMU else None,
            capacity=capacity_of(ours.kind, hosts=1),
        )
        process.runners += [*place.switch_runners, *runners, ("compute", compute.run)]
        process.waits.append(lambda: len(compute.boot.expectations.awaited()))
        listen = None if ours.admin_listen is None else Listening(ours.admin_listen)
        await stack.enter_async_context(serving(process, [], listen))
        yield


async def _accelerator(wanted: Acceleration, kind: HostKind, cache: Path) -> Accelerator:
    match wanted:
        case Acceleration.KVM:
            return Accelerator.KVM
        case Acceleration.TCG:
            return Accelerator.TCG
        case Acceleration.AUTO:
            return await find_accelerator(kind, cache, lambda words: log.info(words))
