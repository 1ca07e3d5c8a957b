"""The boot, told as stories: both timeouts, news early, twice, never; restarts, deletes."""

import asyncio
from collections.abc import Sequence
from functools import partial

from tests.story.clouds import Story, story, until

from moorage.adapters.memory.bus import MemoryBus
from moorage.domain.attempt import HOST_PATIENCE
from moorage.domain.events import EventName, ExternalEvent
from moorage.domain.hops import HOPS, Hop, boot_of
from moorage.domain.ids import PortId, ServerId
from moorage.seams.external_events import Answer, ExternalEvents
from moorage.seams.hypervisor import GuestState


async def test_a_boot_passes_its_ten_hops_in_order_within_a_second() -> None:
    async with story() as cloud:
        server = await cloud.create()
        assert await cloud.settled(server, within=1.0) == "ACTIVE"
        hops = cloud.hops(server)
        assert list(hops) == list(HOPS)
        assert list(hops.values()) == sorted(hops.values())
        assert hops[Hop.RUNNING] - hops[Hop.PLUGGED] < 0.05  # else a fallback was used
        port = await cloud.port(server)
        assert (port["status"], port["binding:vif_type"]) == ("ACTIVE", "ovs")
        address = cloud.world.hypervisor.address_of(server)
        shown = await cloud.show(server)
        assert shown is not None
        assert [entry["addr"] for entry in shown["addresses"]["private"]] == [address]


async def test_a_hundred_boots_at_once_are_all_active() -> None:
    async with story() as cloud:
        servers = [await cloud.create(f"web-{number}") for number in range(100)]
        settled = [await cloud.settled(server, within=5.0) for server in servers]
        assert settled == ["ACTIVE"] * 100
        addresses = {cloud.world.hypervisor.address_of(server) for server in servers}
        assert len(addresses) == 100
        assert None not in addresses


async def test_a_deleted_server_leaves_no_trace() -> None:
    async with story() as cloud:
        server = await cloud.create()
        await cloud.settled(server, within=1.0)
        await cloud.delete(server)
        assert await cloud.settled(server, within=1.0) == "gone"
        assert await cloud.no_trace(server) == ""


async def test_the_agent_is_down_and_it_is_fatal() -> None:
    async with story(timeout=30) as cloud:
        await cloud.host.agent.stop()
        began = asyncio.get_running_loop().time()
        server = await cloud.create()
        assert await cloud.settled(server, within=40) == "ERROR"
        assert 30 <= asyncio.get_running_loop().time() - began < 31
        shown = await cloud.show(server)
        assert shown is not None
        fault = shown["fault"]["message"]
        assert fault.startswith("Failed to allocate the network(s)")
        assert "'plugged'" in fault
        assert "host-1" not in fault
        assert shown["addresses"] == {}
        assert await cloud.no_trace(server) == ""


async def test_the_agent_is_down_and_it_is_not_fatal() -> None:
    async with story(timeout=5, is_fatal=False) as cloud:
        await cloud.host.agent.stop()
        server = await cloud.create()
        assert await cloud.settled(server, within=6) == "ACTIVE"
        assert (await cloud.port(server))["status"] == "DOWN"
        assert cloud.world.hypervisor.address_of(server) is None
        assert Hop.WOKEN not in cloud.hops(server)
        cloud.host.agent.start()

        async def is_up() -> bool:
            return bool((await cloud.port(server))["status"] == "ACTIVE")

        async def has_address() -> str | None:
            return cloud.world.hypervisor.address_of(server)

        await until(is_up, within=1.0)
        assert await until(has_address, within=3.0) == (await cloud.port(server))["fixed_ips"][0]["ip_address"]


async def test_with_a_timeout_of_zero_nobody_waits() -> None:
    async with story(timeout=0) as cloud:
        await cloud.host.agent.stop()
        server = await cloud.create()
        assert await cloud.settled(server, within=1.0) == "ACTIVE"
        assert (await cloud.port(server))["status"] == "DOWN"


class Lost(ExternalEvents):
    """A compute API whose news never arrives, though it says 200."""

    def __init__(self, real: ExternalEvents) -> None:
        self.real = real
        self.posted: list[ExternalEvent] = []

    async def post(self, events: Sequence[ExternalEvent]) -> Answer:
        self.posted += events
        return Answer(200, (200,) * len(events))


class Twice(Lost):
    """Tells everything twice."""

    async def post(self, events: Sequence[ExternalEvent]) -> Answer:
        await self.real.post(events)
        return await self.real.post(events)


async def test_an_event_that_is_lost_costs_about_a_second() -> None:
    async with story(around_events=Lost) as cloud:
        server = await cloud.create()
        assert await cloud.settled(server, within=3.0) == "ACTIVE"
        hops = cloud.hops(server)
        assert 0.5 < hops[Hop.RUNNING] - hops[Hop.PLUGGED] < 1.5


async def test_an_event_that_comes_twice_changes_nothing() -> None:
    async with story(around_events=Twice) as cloud:
        server = await cloud.create()
        assert await cloud.settled(server, within=1.0) == "ACTIVE"
        assert await cloud.status(server) == "ACTIVE"


async def _post(cloud: Story, server: str, port: str) -> None:
    session = cloud.plane.session("compute/v2.1", "neutron")
    event = {"name": EventName.VIF_PLUGGED.value, "server_uuid": server, "tag": port, "status": "completed"}
    await session.json("POST", "/os-server-external-events", {"events": [event]})


async def test_an_event_that_comes_too_early_lets_no_guest_run() -> None:
    """Somebody says plugged while the port is DOWN: the port's status is the truth."""
    async with story(timeout=10) as cloud:
        await cloud.host.agent.stop()
        server = await cloud.create()

        async def is_plugged() -> bool:
            return Hop.PLUGGED in cloud.hops(server)

        await until(is_plugged, within=1.0)
        port = await cloud.port(server)
        await _post(cloud, server, port["id"])
        await asyncio.sleep(3)
        assert (await cloud.world.hypervisor.states())[server] is GuestState.HELD
        cloud.host.agent.start()
        assert await cloud.settled(server, within=3.0) == "ACTIVE"


async def test_a_port_that_is_active_in_an_older_generation_proves_nothing() -> None:
    async with story(timeout=5) as cloud:
        server = await cloud.create()
        await cloud.settled(server, within=1.0)
        first = (await cloud.port(server))["binding:profile"]["plug_generation"]
        await cloud.act(server, {"os-stop": None})
        assert await cloud.settled(server, within=10) == "SHUTOFF"
        assert (await cloud.port(server))["status"] == "DOWN"
        await cloud.host.agent.stop()
        await cloud.act(server, {"os-start": None})
        assert await cloud.settled(server, within=10) == "ERROR"
        port = await cloud.port(server)
        assert port["binding:profile"]["plug_generation"] != first


async def test_stop_and_start_give_the_same_address_again() -> None:
    async with story() as cloud:
        server = await cloud.create()
        await cloud.settled(server, within=1.0)
        before = cloud.world.hypervisor.address_of(server)
        await cloud.act(server, {"os-stop": None})
        assert await cloud.settled(server, within=10) == "SHUTOFF"
        assert cloud.world.switch.interface(PortId((await cloud.port(server))["id"])) is None
        await cloud.act(server, {"os-start": None})
        assert await cloud.settled(server, within=1) == "ACTIVE"
        assert (await cloud.port(server))["status"] == "ACTIVE"
        assert cloud.world.hypervisor.address_of(server) == before


async def test_a_hard_reboot_is_a_new_generation_and_a_soft_one_is_not() -> None:
    async with story() as cloud:
        server = await cloud.create()
        await cloud.settled(server, within=1.0)
        generations = [(await cloud.port(server))["binding:profile"]["plug_generation"]]
        for kind in ("SOFT", "HARD"):
            await cloud.act(server, {"reboot": {"type": kind}})
            assert await cloud.settled(server, within=10) == "ACTIVE"
            generations.append((await cloud.port(server))["binding:profile"]["plug_generation"])
        assert generations[0] == generations[1] != generations[2]
        assert (await cloud.port(server))["status"] == "ACTIVE"


async def test_a_server_deleted_while_it_boots_leaves_no_trace() -> None:
    async with story(timeout=60) as cloud:
        await cloud.host.agent.stop()  # so that it waits
        for delay in (0.0, 0.001, 0.002, 0.004, 0.008, 0.016, 1.0):
            server = await cloud.create()
            await asyncio.sleep(delay)
            await cloud.delete(server)
            assert await cloud.settled(server, within=3.0) == "gone"
            assert await cloud.no_trace(server) == "", f"after {delay} s"


async def test_an_agent_that_restarts_disturbs_no_port() -> None:
    async with story() as cloud:
        server = await cloud.create()
        await cloud.settled(server, within=1.0)
        before = await cloud.port(server)
        await cloud.host.agent.stop()
        cloud.host.agent.start()
        await asyncio.sleep(15)
        after = await cloud.port(server)
        assert (after["status"], after["binding:profile"]) == ("ACTIVE", before["binding:profile"])
        assert await cloud.status(server) == "ACTIVE"


async def test_an_admin_down_port_blocks_no_boot() -> None:
    async with story(timeout=20) as cloud:
        wanted = {"network_id": cloud.network_id, "admin_state_up": False}
        port = (await cloud.network.json("POST", "/v2.0/ports", {"port": wanted}))["port"]
        server = await cloud.create(networks=[{"port": port["id"]}])
        assert await cloud.settled(server, within=1.0) == "ACTIVE"
        assert (await cloud.port(server))["status"] == "DOWN"


async def test_a_port_that_is_set_down_while_it_is_awaited_blocks_no_more() -> None:
    async with story(timeout=20) as cloud:
        await cloud.host.agent.stop()
        server = await cloud.create()
        await asyncio.sleep(1)
        port = await cloud.port(server)
        await cloud.network.json("PUT", f"/v2.0/ports/{port['id']}", {"port": {"admin_state_up": False}})
        assert await cloud.settled(server, within=2.5) == "ACTIVE"


async def test_compute_restarted_while_it_waits_goes_on_waiting() -> None:
    async with story(timeout=30) as cloud:
        await cloud.host.agent.stop()
        server = await cloud.create()
        await asyncio.sleep(2)
        generation = (await cloud.port(server))["binding:profile"]["plug_generation"]
        await cloud.host.slot.stop()
        cloud.host.slot.start()
        await asyncio.sleep(2)
        assert (await cloud.world.hypervisor.states())[server] is GuestState.HELD
        cloud.host.agent.start()
        assert await cloud.settled(server, within=3) == "ACTIVE"
        assert (await cloud.port(server))["binding:profile"]["plug_generation"] == generation


async def test_the_deadline_survives_a_restart_of_compute() -> None:
    async with story(timeout=30) as cloud:
        await cloud.host.agent.stop()
        began = asyncio.get_running_loop().time()
        server = await cloud.create()
        await asyncio.sleep(20)
        await cloud.host.slot.stop()
        cloud.host.slot.start()
        assert await cloud.settled(server, within=15) == "ERROR"
        assert asyncio.get_running_loop().time() - began < 33


async def test_a_guest_that_switches_itself_off_is_shutoff_and_its_port_down() -> None:
    async with story() as cloud:
        server = await cloud.create()
        await cloud.settled(server, within=1.0)
        cloud.world.hypervisor.switches_itself_off(server)

        async def is_off() -> bool:
            return await cloud.status(server) == "SHUTOFF"

        await until(is_off, within=2.0)

        async def is_down() -> bool:
            return bool((await cloud.port(server))["status"] == "DOWN")

        await until(is_down, within=2.0)


async def test_no_host_is_an_error_that_says_so() -> None:
    async with story() as cloud:
        await cloud.host.slot.stop()
        await asyncio.sleep(12)  # until it is known to be dead
        server = await cloud.create()
        assert await cloud.settled(server, within=HOST_PATIENCE.total_seconds() + 5) == "ERROR"
        shown = await cloud.show(server)
        assert shown is not None
        assert shown["fault"]["message"].startswith("No valid host was found")


async def test_a_host_without_an_agent_cannot_bind_and_another_takes_the_server() -> None:
    async with story(hosts=2) as cloud:
        await cloud.hosts[0].agent.stop()
        await asyncio.sleep(12)
        server = await cloud.create()
        assert await cloud.settled(server, within=10) == "ACTIVE"
        assert (await cloud.port(server))["binding:host_id"] == "host-2"


async def test_an_agent_that_was_not_heard_for_a_while_is_waited_for() -> None:
    async with story() as cloud:
        await cloud.host.agent.stop()
        await asyncio.sleep(12)
        server = await cloud.create()
        await asyncio.sleep(1)
        cloud.host.agent.start()
        assert await cloud.settled(server, within=5) == "ACTIVE"


async def test_a_port_given_by_the_user_is_kept_when_its_server_is_deleted() -> None:
    async with story() as cloud:
        port = (await cloud.network.json("POST", "/v2.0/ports", {"port": {"network_id": cloud.network_id}}))["port"]
        server = await cloud.create(networks=[{"port": port["id"]}])
        assert await cloud.settled(server, within=1.0) == "ACTIVE"
        await cloud.delete(server)
        assert await cloud.settled(server, within=2.0) == "gone"
        after = (await cloud.network.json("GET", f"/v2.0/ports/{port['id']}"))["port"]
        assert (after["device_id"], after["device_owner"], after["status"]) == ("", "", "DOWN")


async def test_vswitchd_restarted_while_a_server_runs_is_wired_again() -> None:
    async with story() as cloud:
        server = await cloud.create()
        await cloud.settled(server, within=1.0)
        port = PortId((await cloud.port(server))["id"])
        cloud.world.switch.restart()

        async def is_wired() -> bool:
            interface = cloud.world.switch.interface(port)
            return interface is not None and interface.wired is not None

        await until(is_wired, within=2.0)
        assert (await cloud.port(server))["status"] == "ACTIVE"


async def test_ports_of_a_server_that_is_gone_are_swept_up() -> None:
    async with story() as cloud:
        lost = "11111111-2222-4333-8444-555555555555"
        session = cloud.plane.session("network")
        wanted = {
            "network_id": cloud.network_id,
            "device_id": lost,
            "device_owner": "compute:nova",
            "binding:host_id": "host-1",
        }
        made = {"plug_generation": "g", "nic": 0, "made_by_compute": True}
        await session.json("POST", "/v2.0/ports", {"port": {**wanted, "binding:profile": made}})
        mine = (await cloud.network.json("POST", "/v2.0/ports", {"port": {"network_id": cloud.network_id}}))["port"]
        bound = {**wanted, "binding:profile": {"plug_generation": "g", "nic": 1}}
        del bound["network_id"]
        await session.json("PUT", f"/v2.0/ports/{mine['id']}", {"port": bound})
        server = await cloud.create()
        assert await cloud.settled(server, within=1.0) == "ACTIVE"
        await asyncio.sleep(70)
        assert await cloud.ports(lost) == []
        kept = (await cloud.network.json("GET", f"/v2.0/ports/{mine['id']}"))["port"]
        assert kept["device_id"] == ""
        assert (await cloud.port(server))["status"] == "ACTIVE"


async def test_a_burst_that_fills_a_subnet_leaves_an_address_for_its_dhcp_server() -> None:
    async with story(timeout=10) as cloud:
        made = (await cloud.network.json("POST", "/v2.0/networks", {"network": {"name": "small"}}))["network"]
        subnet = {"network_id": made["id"], "ip_version": 4, "cidr": "10.9.0.0/29"}  # five addresses but the gateway's
        await cloud.network.json("POST", "/v2.0/subnets", {"subnet": subnet})
        servers = [await cloud.create(f"web-{n}", networks=[{"uuid": made["id"]}]) for n in range(6)]
        ended = [await cloud.settled(server, within=15) for server in servers]
        assert sorted(str(end) for end in ended) == ["ACTIVE"] * 4 + ["ERROR"] * 2
        refused = servers[ended.index("ERROR")]
        shown = await cloud.show(refused)
        assert shown is not None
        assert "No more IP addresses" in shown["fault"]["message"]
        assert await cloud.no_trace(refused) == ""


async def test_a_port_that_became_ready_while_compute_was_down_past_the_deadline_is_found_by_a_last_look() -> None:
    async with story(timeout=10) as cloud:
        await cloud.host.agent.stop()
        server = await cloud.create()
        await asyncio.sleep(2)
        await cloud.host.slot.stop()
        cloud.host.agent.start()
        await asyncio.sleep(20)
        cloud.host.slot.start()
        assert await cloud.settled(server, within=10) == "ACTIVE"


async def test_a_restart_past_the_deadline_keeps_to_the_setting_that_it_is_not_fatal() -> None:
    async with story(timeout=10, is_fatal=False) as cloud:
        await cloud.host.agent.stop()
        server = await cloud.create()
        await asyncio.sleep(2)
        await cloud.host.slot.stop()
        await asyncio.sleep(20)
        cloud.host.slot.start()
        assert await cloud.settled(server, within=15) == "ACTIVE"
        assert (await cloud.port(server))["status"] == "DOWN"


async def test_a_hiccup_after_a_long_wait_fails_no_boot() -> None:
    async with story(timeout=300) as cloud:
        await cloud.host.agent.stop()
        server = await cloud.create()
        await asyncio.sleep(100)
        cloud.world.hypervisor.is_down = True
        cloud.host.agent.start()
        await asyncio.sleep(3)
        cloud.world.hypervisor.is_down = False
        assert await cloud.settled(server, within=10) == "ACTIVE"


async def test_hard_reboots_asked_for_again_and_again_keep_the_guest_and_its_disk() -> None:
    async with story() as cloud:
        server = await cloud.create()
        await cloud.settled(server, within=1.0)
        cloud.world.hypervisor.writes(server, "kept on the disk")
        for _ in range(4):
            await cloud.act(server, {"reboot": {"type": "HARD"}})
            await asyncio.sleep(0.002)
        assert await cloud.settled(server, within=10) == "ACTIVE"
        assert (await cloud.world.hypervisor.states())[server] is GuestState.RUNNING
        assert (await cloud.port(server))["status"] == "ACTIVE"
        assert b"kept on the disk" in await cloud.world.hypervisor.console(server)


async def test_a_guest_that_is_paused_when_compute_comes_back_is_left_paused() -> None:
    async with story() as cloud:
        server = await cloud.create()

        async def is_running() -> bool:
            return await cloud.world.hypervisor.state(server) is GuestState.RUNNING

        await until(is_running, within=1.0, every=0.0001)
        await cloud.host.slot.stop()  # before it has said so
        await cloud.world.hypervisor.pause(server)
        cloud.host.slot.start()
        assert await cloud.settled(server, within=10) == "ACTIVE"
        assert await cloud.world.hypervisor.state(server) is GuestState.PAUSED


async def test_ports_that_their_owner_gave_a_servers_device_id_are_never_deleted() -> None:
    async with story() as cloud:
        server = await cloud.create()
        await cloud.settled(server, within=1.0)
        mine = []
        for _ in range(2):
            wanted = {"network_id": cloud.network_id, "device_id": server}
            mine.append((await cloud.network.json("POST", "/v2.0/ports", {"port": wanted}))["port"]["id"])
        await cloud.act(server, {"reboot": {"type": "HARD"}})
        assert await cloud.settled(server, within=10) == "ACTIVE"
        await cloud.delete(server)
        assert await cloud.settled(server, within=10) == "gone"
        left = (await cloud.network.json("GET", "/v2.0/ports"))["ports"]
        assert {port["id"] for port in left if port["id"] in mine} == set(mine)


async def test_a_fault_names_the_hop_that_was_reached() -> None:
    """The agent sees the port, and the switch refuses its flows."""
    async with story(timeout=5) as cloud:
        wanted = {"network_id": cloud.network_id}
        port = (await cloud.network.json("POST", "/v2.0/ports", {"port": wanted}))["port"]
        cloud.world.switch.refuse_flows.add(PortId(port["id"]))
        server = await cloud.create(networks=[{"port": port["id"]}])
        assert await cloud.settled(server, within=10) == "ERROR"
        admin = cloud.plane.session("compute/v2.1", "admin", "admin")
        fault = (await admin.json("GET", f"/servers/{server}"))["server"]["fault"]
        assert f"port {port['id']} only got as far as 'seen' within 5 s" in fault["message"]
        assert "host-1" in fault["details"]
        assert "ovs-vswitchd" in fault["details"]


async def test_a_port_whose_flows_the_switch_refuses_for_a_while_is_wired_once_it_takes_them() -> None:
    async with story(timeout=30) as cloud:
        wanted = {"network_id": cloud.network_id}
        port = (await cloud.network.json("POST", "/v2.0/ports", {"port": wanted}))["port"]
        cloud.world.switch.refuse_flows.add(PortId(port["id"]))
        server = await cloud.create(networks=[{"port": port["id"]}])
        other = await cloud.create("other")
        assert await cloud.settled(other, within=1.0) == "ACTIVE"  # one bad port holds up no other
        cloud.world.switch.refuse_flows.clear()
        assert await cloud.settled(server, within=2.0) == "ACTIVE"


async def test_a_start_has_a_timeline_of_its_own() -> None:
    async with story() as cloud:
        server = await cloud.create()
        await cloud.settled(server, within=1.0)
        await cloud.act(server, {"os-stop": None})
        assert await cloud.settled(server, within=10) == "SHUTOFF"
        await asyncio.sleep(100)
        began = cloud.plane.parts.clock.now()
        await cloud.act(server, {"os-start": None})
        assert await cloud.settled(server, within=1) == "ACTIVE"
        boot = boot_of([fact for fact in cloud.facts if fact.server == server])
        assert all(at is not None and at >= began for at in boot.values())


async def test_after_the_bus_was_away_a_waiter_looks_at_once() -> None:
    async with story(around_events=Lost) as cloud:
        server = await cloud.create()

        async def is_ready() -> bool:
            return Hop.READY in cloud.hops(server)

        await until(is_ready, within=0.5)
        bus = cloud.plane.parts.bus
        assert isinstance(bus, MemoryBus)
        await bus.interrupt(away=0.1)
        assert await cloud.settled(server, within=0.3) == "ACTIVE"
        hops = cloud.hops(server)
        assert hops[Hop.RUNNING] - hops[Hop.PLUGGED] < 0.5  # well before the first look of its own


async def is_held(cloud: Story, server: ServerId) -> bool:
    return await cloud.world.hypervisor.state(server) is GuestState.HELD


async def test_a_guest_that_dies_while_it_is_held_is_made_anew() -> None:
    async with story() as cloud:
        await cloud.host.agent.stop()
        server = await cloud.create()
        await until(partial(is_held, cloud, server), within=5)
        cloud.world.hypervisor.dies(server)
        cloud.host.agent.start()
        assert await cloud.settled(server, within=20) == "ACTIVE"
        assert await cloud.world.hypervisor.state(server) is GuestState.RUNNING
        assert (await cloud.port(server))["status"] == "ACTIVE"


async def test_a_boot_whose_guest_dies_again_and_again_fails() -> None:
    async with story() as cloud:
        server = await cloud.create()

        async def has_failed() -> bool:
            if await is_held(cloud, server):
                cloud.world.hypervisor.dies(server)
            return await cloud.status(server) == "ERROR"

        await until(has_failed, within=10, every=0.0002)
        assert await cloud.no_trace(server) == ""
