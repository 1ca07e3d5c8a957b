"""A host's agent put together (hops seen, wired). It holds no database, asks no API, and needs no privilege."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from moorage.adapters.dnsmasq.dhcp import Dnsmasq
from moorage.agent.agent import Agent
from moorage.agent.dhcp import DhcpServers
from moorage.agent.firewall import Firewall
from moorage.agent.vlans import Vlans
from moorage.app.deadlines import ON_THE_BUS, limited
from moorage.app.metering import MeteredBus
from moorage.app.serving.host import placed
from moorage.app.serving.process import Listening, Process, serving
from moorage.app.serving.settings import ServeSettings
from moorage.domain.ids import HostName
from moorage.seams.bus import Bus
from moorage.seams.clock import Clock
from moorage.seams.dhcp import Dhcp
from moorage.seams.metrics import Metrics
from moorage.seams.switch import Wiring
from moorage.seams.timeline import Timeline


def make_agent(
    host: HostName,
    *,
    wiring: Wiring,
    dhcp: Dhcp,
    bus: Bus,
    clock: Clock,
    timeline: Timeline,
    metrics: Metrics,
    vlans: Vlans,  # those that it begins with, and keeps up
) -> Agent:
    """One life of it."""
    bus = limited("the bus", bus, but=ON_THE_BUS)
    metered = MeteredBus(bus, metrics)
    wiring = limited("the switch", wiring)
    return Agent(
        host=host,
        wiring=wiring,
        dhcp=DhcpServers(host, limited("DHCP", dhcp), wiring, bus, vlans),
        firewall=Firewall(host, metered),
        bus=metered,
        clock=clock,
        timeline=timeline,
        vlans=vlans,
    )


@asynccontextmanager
async def serve(settings: ServeSettings) -> AsyncIterator[None]:
    ours, host = settings.agent, settings.host
    assert ours is not None
    assert host is not None
    async with AsyncExitStack() as stack:
        process = Process(settings, stack)
        stack.enter_context(structlog.contextvars.bound_contextvars(host=host.name))  # on each line of its tasks
        place = await stack.enter_async_context(placed(process, host, ours.state_dir, "agent"))
        bus, timeline = await process.bus()
        (place.state / "dhcp").mkdir(mode=0o770, parents=True, exist_ok=True)
        agent = make_agent(
            place.name,
            wiring=place.switch,
            dhcp=Dnsmasq(place.world, place.state / "dhcp"),
            bus=bus,
            clock=process.clock,
            timeline=timeline,
            metrics=process.metrics,
            vlans=Vlans(),
        )
        process.runners += [*place.switch_runners, ("agent", agent.run)]
        listen = None if ours.admin_listen is None else Listening(ours.admin_listen)
        await stack.enter_async_context(serving(process, [], listen))
        yield
