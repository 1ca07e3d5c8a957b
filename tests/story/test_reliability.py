"""What a real OpenStack gets wrong when a part of it fails, told of Moorage: docs/reliability.md has both side by side.

The seconds are virtual: what Moorage waits until it looks or tries again, and not what a machine needs for it.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

import pytest
from tests.story.clouds import Story, story, until
from tests.story.faults import Fault, Faults
from tests.story.gates import Gate, gated

from moorage.adapters.http.external_events_client import HttpExternalEvents
from moorage.adapters.http.session import Session
from moorage.adapters.memory.bus import MemoryBus
from moorage.compute.boot import BINDING_PATIENCE
from moorage.domain.events import ExternalEvent
from moorage.domain.hops import Fact, Hop
from moorage.domain.ids import ServerId
from moorage.seams.external_events import Answer, ExternalEvents

pytestmark = pytest.mark.usefixtures("errors")  # whose log nobody reads
T = TypeVar("T")
WAITS = 30.0  # seconds: vif_plugging_timeout
SOON = 1.5  # seconds, once whatever was away is back


def now() -> float:
    return asyncio.get_running_loop().time()


async def boot_until(cloud: Story, hop: Hop, strike: Callable[[], None]) -> ServerId:
    """A server in whose boot this is done while the hop is told, before anything else can happen."""
    struck: list[Fact] = []

    def hear(fact: Fact) -> None:
        if fact.what is hop and not struck:
            struck.append(fact)
            strike()

    cloud.plane.observed.listeners.append(hear)
    server = await cloud.create()

    async def is_struck() -> bool:
        return bool(struck)

    await until(is_struck, within=2)
    assert Hop.RUNNING not in cloud.hops(server)
    return server


async def ran_after(cloud: Story, server: ServerId, since: float) -> float:
    """How many seconds later the server ran."""
    assert await cloud.settled(server, within=WAITS) == "ACTIVE"
    return cloud.hops(server)[Hop.RUNNING] - since


async def all_is_told(cloud: Story) -> bool:
    return (await cloud.plane.network.store.backlog()).waiting == 0


async def fault_of(cloud: Story, server: ServerId) -> dict[str, Any]:
    """As an admin reads it."""
    admin = cloud.plane.session("compute/v2.1", "admin", "admin")
    return cast(dict[str, Any], (await admin.json("GET", f"/servers/{server}"))["server"]["fault"])


@dataclass
class Way:
    """To compute: by another session, or into silence."""

    real: ExternalEvents
    by: Session | None = None
    is_silent: bool = False

    async def post(self, events: Sequence[ExternalEvent]) -> Answer:
        if self.is_silent:
            await asyncio.get_running_loop().create_future()
        return await (self.real if self.by is None else HttpExternalEvents(self.by)).post(events)


def ways() -> tuple[list[Way], Callable[[ExternalEvents], ExternalEvents]]:
    made: list[Way] = []

    def around(events: ExternalEvents) -> ExternalEvents:
        made.append(Way(events))
        return made[0]

    return made, around


async def test_compute_api_away_for_twenty_seconds_in_mid_boot_loses_no_event_and_fails_no_boot() -> None:
    async with story(timeout=WAITS) as cloud:
        compute = cloud.services["compute"]
        server = await boot_until(cloud, Hop.PLUGGED, compute.gate.cut)
        await compute.stop()
        await asyncio.sleep(20)
        assert not await all_is_told(cloud)
        compute.start()
        back = now()
        assert await ran_after(cloud, server, back) < SOON
        await until(lambda: all_is_told(cloud), within=6.0)


async def test_a_notifier_with_wrong_credentials_costs_a_boot_a_second_and_loses_no_event() -> None:
    made, around = ways()
    async with story(timeout=WAITS, around_events=around) as cloud:
        made[0].by = cloud.plane.session("compute/v2.1", "demo", "demo")  # who may not tell
        server = await cloud.create()
        plugged = now()
        assert await ran_after(cloud, server, plugged) < SOON
        assert not await all_is_told(cloud)
        made[0].by = None
        await until(lambda: all_is_told(cloud), within=6.0)


async def test_a_network_killed_after_the_commit_and_before_it_told_has_lost_no_event_and_holds_up_no_other() -> None:
    made, around = ways()
    async with story(timeout=WAITS, around_events=around) as cloud:
        made[0].is_silent = True
        network = cloud.services["network"]
        server = await boot_until(cloud, Hop.READY, network.gate.cut)
        await network.stop()
        made[0].is_silent = False
        await asyncio.sleep(5)
        assert Hop.HEARD not in cloud.hops(server)
        network.start()
        back = now()
        other = await cloud.create("other")
        assert await ran_after(cloud, server, back) < SOON
        assert await ran_after(cloud, other, back) < SOON
        await until(lambda: all_is_told(cloud), within=1.0)


async def test_a_network_killed_before_the_commit_costs_a_boot_seconds() -> None:
    faults = Faults()
    async with story(timeout=WAITS, faults=faults) as cloud:
        network = cloud.services["network"]
        report = partial(faults.arm, Fault.HANGS, "the network store.update_each")
        server = await boot_until(cloud, Hop.WIRED, report)

        async def is_being_written() -> bool:
            return bool(faults.struck)

        await until(is_being_written, within=0.1)
        await network.stop()
        faults.arm(None)
        await asyncio.sleep(5)
        assert Hop.READY not in cloud.hops(server)
        network.start()
        assert await ran_after(cloud, server, now()) < SOON


async def test_a_bus_that_is_away_for_fifteen_seconds_fails_no_boot_of_a_burst() -> None:
    async with story(timeout=WAITS) as cloud:
        bus = cloud.plane.parts.bus
        assert isinstance(bus, MemoryBus)
        servers = await asyncio.gather(*(cloud.create(f"web-{number}") for number in range(10)))
        await asyncio.sleep(0.002)
        assert not any(Hop.READY in cloud.hops(server) for server in servers)
        await bus.interrupt(15)
        back = now()
        assert max([await ran_after(cloud, server, back) for server in servers]) < SOON


@pytest.mark.parametrize("hop", [Hop.ASKED, Hop.BOUND, Hop.PLUGGED, Hop.WIRED])
async def test_databases_that_are_away_for_fifteen_seconds_fail_no_boot(hop: Hop) -> None:
    gate = Gate()

    def behind(name: str, seam: T, /) -> T:
        return gated(seam, gate, spare=["appended"]) if name.endswith("store") else seam

    async with story(timeout=WAITS, listening=behind) as cloud:
        server = await boot_until(cloud, hop, gate.cut)
        await asyncio.sleep(15)
        gate.is_cut = False
        assert await ran_after(cloud, server, now()) < SOON


async def test_a_dead_ovs_vswitchd_costs_a_boot_its_deadline_and_no_more_and_no_port_is_called_ready() -> None:
    async with story(timeout=WAITS) as cloud:
        cloud.world.switch.stop_switch()
        server = await cloud.create()
        await asyncio.sleep(WAITS - SOON)
        assert (await cloud.port(server))["status"] == "DOWN"
        assert Hop.SEEN not in cloud.hops(server)  # what the switch has not opened is not reported
        assert await cloud.settled(server, within=2 * SOON) == "ERROR"
        fault = await fault_of(cloud, server)
        assert "only got as far as 'plugged' within 30 s" in fault["message"]
        assert "ovs-vswitchd" in fault["details"]
        assert await cloud.no_trace(server) == ""
        cloud.world.switch.start_switch()
        assert await cloud.settled(await cloud.create(), within=SOON) == "ACTIVE"


async def test_a_dead_agent_and_a_host_that_is_not_there_have_each_a_fault_of_their_own() -> None:
    async with story(timeout=WAITS) as cloud:
        await cloud.host.agent.stop()
        await asyncio.sleep(80)
        deaf = await cloud.create()
        assert await cloud.settled(deaf, within=BINDING_PATIENCE + 2.0) == "ERROR"
        assert (await fault_of(cloud, deaf))["details"].startswith(
            "host host-1 has no live Open vSwitch agent: start it there."
        )
        admin = cloud.plane.session("compute/v2.1", "admin", "admin")
        where = {"availability_zone": "nova:nowhere", "networks": [{"uuid": cloud.network_id}]}
        wanted = {"name": "x", "imageRef": cloud.image_id, "flavorRef": "1", **where}
        nowhere = (await admin.json("POST", "/servers", {"server": wanted}))["server"]["id"]
        await asyncio.sleep(SOON)
        assert (await fault_of(cloud, nowhere))["message"] == "No valid host was found. There is no host nowhere."
