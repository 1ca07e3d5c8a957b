"""What agents hear and say: details, reports, full looks, DHCP."""

import asyncio
from typing import Any

import pytest
import structlog
from tests.unit.network_rig import DEMO, SERVER, Rig, make_rig

from moorage.domain.errors import Invalid
from moorage.domain.ids import HostName
from moorage.domain.port import PortStatus
from moorage.network.agents import AT_ONCE
from moorage.wire.messages import (
    AgentHeartbeat,
    Details,
    DetailsWanted,
    DhcpNetworks,
    DhcpNetworkSpec,
    DhcpPortMark,
    DhcpReady,
    DhcpWanted,
    LookBegan,
    LookBegins,
    Looked,
    PortMark,
    RecordWanted,
    Reports,
)

pytestmark = pytest.mark.looptime


async def begin(rig: Rig) -> LookBegan:
    answer = await rig.service.agents.handle(LookBegins(host="h1"))
    assert isinstance(answer, LookBegan)
    return answer


async def look(rig: Rig, began: LookBegan, sequence: int, *up: tuple[str, str]) -> None:
    marks = tuple(PortMark(port=port, generation=generation) for port, generation in up)
    await rig.service.agents.handle(
        Reports(host="h1", epoch=1, sequence=sequence, up=marks, complete=True, look_began=began.at)
    )


async def status(rig: Rig, port: Any) -> str:
    return str((await rig.show("port", port["id"]))["status"])


async def specs(rig: Rig, host: str = "h1") -> tuple[DhcpNetworkSpec, ...]:
    answer = await rig.dhcp_wanted(host)
    assert isinstance(answer, DhcpNetworks)
    return answer.networks


async def test_details_are_for_the_bound_host_and_generation_only() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    await rig.agent("h1")
    port = await rig.bound_port(network)
    for host, generation in (("h2", "g1"), ("h1", "g0"), ("h1", None)):
        [details] = (await rig.ask_details(port["id"], 1, host=host, generation=generation)).ports
        assert not details.is_bound_here
    assert await status(rig, port) == "DOWN"
    unknown = PortMark(port="nowhere", generation="g1")
    known = PortMark(port=port["id"], generation="g1")
    answer = await rig.service.agents.handle(DetailsWanted(host="h1", epoch=1, sequence=2, ports=(unknown, known)))
    assert isinstance(answer, Details)
    none, details = answer.ports
    assert (none.port, none.is_bound_here) == ("nowhere", False)
    assert (details.network, details.mac, details.server) == (network["id"], port["mac_address"], SERVER)
    assert await status(rig, port) == "BUILD"


async def test_one_message_takes_ports_up_and_others_down() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    await rig.agent("h1")
    first, second = await rig.bound_port(network), await rig.bound_port(network)
    await rig.report_up(first["id"], 1)
    up, down = (PortMark(port=port["id"], generation="g1") for port in (second, first))
    lost = PortMark(port="nowhere", generation="g1")
    await rig.service.agents.handle(Reports(host="h1", epoch=1, sequence=2, up=(lost, up), down=(lost, down)))
    assert (await status(rig, first), await status(rig, second)) == ("DOWN", "ACTIVE")
    assert [fact.what for fact in rig.facts.told] == ["bound", "bound", "ready", "ready"]


async def test_a_full_look_takes_down_what_it_did_not_see_but_what_was_bound_meanwhile() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    await rig.agent("h1")
    seen, unseen, other = [await rig.bound_port(network) for _ in range(3)]
    for sequence, port in enumerate((seen, unseen, other), 1):
        await rig.report_up(port["id"], sequence)
    await asyncio.sleep(1)
    began = await begin(rig)
    meanwhile = await rig.bound_port(network)
    await rig.report_up(meanwhile["id"], 4)
    await look(rig, began, 5, (seen["id"], "g1"), (other["id"], "g0"))
    assert [await status(rig, port) for port in (seen, unseen, meanwhile)] == ["ACTIVE", "DOWN", "ACTIVE"]
    assert await status(rig, other) == "DOWN"  # a device of another generation is not this port's
    await rig.report_up(unseen["id"], 2)  # late
    assert await status(rig, unseen) == "DOWN"


async def test_a_full_look_brings_up_what_was_never_told() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    await rig.agent("h1")
    port = await rig.bound_port(network)
    began = await begin(rig)
    await look(rig, began, 1, (port["id"], "g1"))
    assert await status(rig, port) == "ACTIVE"
    await look(rig, began, 2, (port["id"], "g1"))
    assert [fact.what for fact in rig.facts.told] == ["bound", "ready"]


async def test_a_full_look_is_told_which_ports_are_not_what_they_were_wired_by() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    await rig.agent("h1")
    same, other, left = [await rig.bound_port(network) for _ in range(3)]
    wired_by = {}
    for number, port in enumerate((same, other, left), start=1):
        [details] = (await rig.ask_details(port["id"], number)).ports
        wired_by[port["id"]] = details.digest
    began = await begin(rig)
    marks = tuple(PortMark(port=port, generation="g1", details=digest) for port, digest in wired_by.items())

    async def looked(sequence: int) -> set[str]:
        answer = await rig.service.agents.handle(
            Reports(host="h1", epoch=1, sequence=sequence, up=marks, complete=True, look_began=began.at)
        )
        assert isinstance(answer, Looked)
        return set(answer.changed)

    assert await looked(4) == set()
    for port, change in ((other, {"allowed_address_pairs": [{"ip_address": "10.9.9.9"}]}), (same, {"name": "renamed"})):
        assert (await rig.ask("PUT", f"/v2.0/ports/{port['id']}", {"port": change})).status == 200
    assert await looked(5) == {other["id"]}
    assert (await rig.ask("DELETE", f"/v2.0/ports/{left['id']}")).status == 204
    assert await looked(6) == {other["id"], left["id"]}


async def test_a_full_look_leaves_the_dhcp_servers_own_port_alone() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    await rig.agent("h1", has_dhcp=True)
    await rig.bound_port(network)
    [spec] = await specs(rig)
    await asyncio.sleep(1)
    await look(rig, await begin(rig), 1)
    assert (await rig.show("port", spec.port))["status"] == "ACTIVE"


async def test_a_message_about_very_many_ports_stops_nobody_for_long() -> None:
    rig = make_rig()
    network, _ = await rig.network("10.0.0.0/16")
    await rig.agent("h1")
    ports = [await rig.bound_port(network) for _ in range(3 * AT_ONCE)]
    marks = tuple(PortMark(port=port["id"], generation="g1") for port in ports)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(others())
    for message in (
        DetailsWanted(host="h1", epoch=1, sequence=1, ports=marks),
        Reports(host="h1", epoch=1, sequence=2, up=marks),
    ):
        turns = 0
        await rig.service.agents.handle(message)
        assert turns >= 3
    other.cancel()
    assert {port.status for port in await rig.store.ports(None, host=HostName("h1"))} == {PortStatus.ACTIVE}


async def test_the_dhcp_servers_port_is_made_once_and_says_where_it_is() -> None:
    rig = make_rig()
    network, subnet = await rig.network()
    await rig.agent("h1", has_dhcp=True)
    port = await rig.bound_port(network)
    [spec] = await specs(rig)
    assert await specs(rig) == (spec,)
    assert spec.mtu == 1500
    [served] = spec.ranges
    assert (served.cidr, served.server_address, served.gateway) == ("10.0.0.0/24", "10.0.0.2/24", "10.0.0.1")
    [reserved] = spec.reservations
    assert (reserved.port, reserved.mac, reserved.address) == (port["id"], port["mac_address"], "10.0.0.3")
    assert reserved.hostname == "host-10-0-0-3"
    server = await rig.show("port", spec.port)
    assert (server["device_owner"], server["device_id"]) == ("network:dhcp", f"dhcp-h1-{network['id']}")
    assert (server["status"], server["binding:host_id"], server["name"]) == ("ACTIVE", "h1", "")
    assert server["project_id"] == DEMO
    assert server["fixed_ips"] == [{"subnet_id": subnet["id"], "ip_address": "10.0.0.2"}]


async def test_each_host_serves_its_own_ports_from_an_address_of_its_own() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    for host in ("h1", "h2"):
        await rig.agent(host, has_dhcp=True)
    first, second = await rig.bound_port(network), await rig.bound_port(network, "h2")
    [here], [there] = await specs(rig), await specs(rig, "h2")
    assert [one.port for one in here.reservations] == [first["id"]]
    assert [one.port for one in there.reservations] == [second["id"]]
    assert here.port != there.port
    assert await specs(rig, "h3") == ()


async def test_a_network_is_served_from_its_first_port_here_on_and_only_with_dhcp() -> None:
    rig = make_rig()
    network, subnet = await rig.network()
    await rig.agent("h1", has_dhcp=True)
    assert await specs(rig) == ()
    port = await rig.bound_port(network)
    await rig.ask("PUT", f"/v2.0/subnets/{subnet['id']}", {"subnet": {"enable_dhcp": False}})
    assert await specs(rig) == ()
    await rig.ask("PUT", f"/v2.0/subnets/{subnet['id']}", {"subnet": {"enable_dhcp": True}})
    assert len(await specs(rig)) == 1
    await rig.ask("DELETE", f"/v2.0/ports/{port['id']}", by="nova")
    [idle] = await specs(rig)  # ready for the next boot
    assert idle.reservations == ()
    await rig.ask("PUT", f"/v2.0/subnets/{subnet['id']}", {"subnet": {"enable_dhcp": False}})
    assert await specs(rig) == ()


async def test_a_new_subnet_is_served_too_and_the_old_address_stays() -> None:
    rig = make_rig()
    network, subnet = await rig.network()
    await rig.agent("h1", has_dhcp=True)
    await rig.bound_port(network)
    [before] = await specs(rig)
    routes = [{"destination": "10.9.0.0/16", "nexthop": "10.1.0.9"}]
    more = await rig.make(
        "subnet", network_id=network["id"], cidr="10.1.0.0/24", dns_nameservers=["9.9.9.9"], host_routes=routes
    )
    [after] = await specs(rig)
    assert after.port == before.port
    assert [served.server_address for served in after.ranges] == ["10.0.0.2/24", "10.1.0.2/24"]
    assert (after.ranges[1].dns, after.ranges[1].routes) == (("9.9.9.9",), (("10.9.0.0/16", "10.1.0.9"),))
    await rig.ask("DELETE", f"/v2.0/subnets/{more['id']}")
    assert await specs(rig) == (before,)
    assert len((await rig.ask("GET", f"/v2.0/ports?fixed_ips=subnet_id%3D{subnet['id']}")).json["ports"]) == 2


async def test_a_ports_name_is_its_host_name_where_it_can_be() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    await rig.agent("h1", has_dhcp=True)
    for name in ("web-1", "twice", "Twice", "no name!", ""):
        port = await rig.bound_port(network)
        await rig.ask("PUT", f"/v2.0/ports/{port['id']}", {"port": {"name": name}})
    [spec] = await specs(rig)
    names = [one.hostname for one in spec.reservations]
    assert names == ["web-1", "host-10-0-0-4", "host-10-0-0-5", "host-10-0-0-6", "host-10-0-0-7"]


async def test_a_full_look_without_a_wired_port_that_waits_for_dhcp_awaits_l2_again() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    await rig.agent("h1", has_dhcp=True)
    port = await rig.bound_port(network)
    await rig.ask_details(port["id"], 1)
    await rig.report_up(port["id"], 2)
    await asyncio.sleep(1)
    await look(rig, await begin(rig), 3)
    await rig.dhcp_ready(port["id"])
    assert await status(rig, port) == "BUILD"  # nothing is wired
    await rig.report_up(port["id"], 4)
    assert await status(rig, port) == "ACTIVE"


async def ready(rig: Rig, *marks: DhcpPortMark, host: str = "h1") -> None:
    await rig.service.agents.handle(DhcpReady(host=host, marks=marks))


async def wired_port(rig: Rig) -> tuple[Any, Any, DhcpPortMark]:
    """A port that waits for DHCP only, its network, and what its DHCP server was told of it."""
    network, _ = await rig.network()
    await rig.agent("h1", has_dhcp=True)
    port = await rig.bound_port(network)
    await rig.report_up(port["id"], 1)
    [spec] = await specs(rig)
    [mark] = spec.marks
    return network, port, mark


async def test_what_dhcp_read_before_a_port_was_bound_anew_counts_no_more() -> None:
    rig = make_rig()
    _, port, old = await wired_port(rig)
    anew = {"port": {"binding:profile": {"plug_generation": "g2"}}}
    assert (await rig.ask("PUT", f"/v2.0/ports/{port['id']}", anew, by="nova")).status == 200
    await rig.report_up(port["id"], 2, generation="g2")
    await ready(rig, old)
    assert await status(rig, port) == "DOWN"
    await rig.dhcp_ready(port["id"])
    assert await status(rig, port) == "ACTIVE"


async def test_what_dhcp_read_before_a_port_had_other_addresses_counts_no_more() -> None:
    rig = make_rig()
    _, port, old = await wired_port(rig)
    [kept] = port["fixed_ips"]
    other = {"port": {"fixed_ips": [{"subnet_id": kept["subnet_id"], "ip_address": "10.0.0.77"}]}}
    assert (await rig.ask("PUT", f"/v2.0/ports/{port['id']}", other)).status == 200
    await ready(rig, old)
    assert await status(rig, port) == "DOWN"
    await ready(rig, *(await specs(rig))[0].marks, host="h2")
    assert await status(rig, port) == "DOWN"
    await ready(rig, *(await specs(rig))[0].marks)
    assert await status(rig, port) == "ACTIVE"


async def test_addresses_that_came_after_dhcp_was_ready_are_awaited_too() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    await rig.agent("h1", has_dhcp=True)
    port = await rig.bound_port(network)
    await rig.dhcp_ready(port["id"])
    [kept] = port["fixed_ips"]
    other = {"port": {"fixed_ips": [{"subnet_id": kept["subnet_id"], "ip_address": "10.0.0.77"}]}}
    for _ in range(2):  # the same again asks for nothing new
        assert (await rig.ask("PUT", f"/v2.0/ports/{port['id']}", other)).status == 200
        await rig.report_up(port["id"], 1)
        assert await status(rig, port) == "DOWN"
    await rig.dhcp_ready(port["id"])
    assert (await rig.ask("PUT", f"/v2.0/ports/{port['id']}", other)).status == 200
    assert await status(rig, port) == "ACTIVE"


async def test_a_subnet_that_loses_dhcp_in_the_middle_of_a_boot_holds_up_none() -> None:
    rig = make_rig()
    _, port, _ = await wired_port(rig)
    [ip] = port["fixed_ips"]
    off = {"subnet": {"enable_dhcp": False}}
    await rig.ask("PUT", f"/v2.0/subnets/{ip['subnet_id']}", {"subnet": {"name": "only a name"}})
    assert await status(rig, port) == "DOWN"
    assert (await rig.ask("PUT", f"/v2.0/subnets/{ip['subnet_id']}", off)).status == 200
    assert await status(rig, port) == "ACTIVE"
    assert [fact.what for fact in rig.facts.told] == ["bound", "ready"]  # no DHCP server has said anything
    [item] = await rig.store.take(rig.service.clock.now(), 100)
    assert (item.event.name, item.event.tag) == ("network-vif-plugged", port["id"])


async def test_a_subnet_that_loses_dhcp_before_the_port_is_wired_leaves_it_to_the_agent() -> None:
    rig = make_rig()
    network, subnet = await rig.network()
    await rig.agent("h1", has_dhcp=True)
    port = await rig.bound_port(network)
    await rig.ask("PUT", f"/v2.0/subnets/{subnet['id']}", {"subnet": {"enable_dhcp": False}})
    assert await status(rig, port) == "DOWN"
    await rig.report_up(port["id"], 1)
    assert await status(rig, port) == "ACTIVE"


async def test_a_port_that_moves_to_a_subnet_without_dhcp_awaits_it_no_more() -> None:
    rig = make_rig()
    network, port, _ = await wired_port(rig)
    plain = await rig.make("subnet", network_id=network["id"], cidr="10.1.0.0/24", enable_dhcp=False)
    moved = {"port": {"fixed_ips": [{"subnet_id": plain["id"]}]}}
    assert (await rig.ask("PUT", f"/v2.0/ports/{port['id']}", moved)).status == 200
    assert await status(rig, port) == "ACTIVE"
    [item] = await rig.store.take(rig.service.clock.now(), 100)
    assert item.event.name == "network-vif-plugged"


async def test_a_full_network_is_said_to_have_failed_and_holds_up_no_other() -> None:
    rig = make_rig()
    await rig.agent("h1", has_dhcp=True)
    small, subnet = await rig.network("10.9.0.0/30")  # its one address is a guest's before any server can take it
    await rig.ask("PUT", f"/v2.0/subnets/{subnet['id']}", {"subnet": {"enable_dhcp": False}})
    guest = await rig.bound_port(small)
    await rig.ask("PUT", f"/v2.0/subnets/{subnet['id']}", {"subnet": {"enable_dhcp": True}})
    large, _ = await rig.network()
    await rig.bound_port(large)
    agents = rig.service.agents
    with structlog.testing.capture_logs() as logs:
        for asked in ((), (), (small["id"], large["id"])):
            answer = await agents.handle(DhcpWanted(host="h1", networks=asked))
            assert isinstance(answer, DhcpNetworks)
            assert [spec.network for spec in answer.networks] == [large["id"]]
            assert answer.failed == (small["id"],)
    assert [entry["network"] for entry in logs] == [small["id"]]
    await rig.ask("DELETE", f"/v2.0/ports/{guest['id']}", by="nova")
    answer = await agents.handle(DhcpWanted(host="h1", networks=()))
    assert isinstance(answer, DhcpNetworks)
    assert answer.failed == ()


async def test_a_message_that_is_not_for_the_network_is_refused() -> None:
    rig = make_rig()
    with pytest.raises(Invalid):
        await rig.service.agents.handle(RecordWanted(server=SERVER, host="h1"))


async def test_a_heartbeat_is_answered_to_one_who_calls() -> None:
    rig = make_rig()
    beat = AgentHeartbeat(host="h1", started_at=rig.service.clock.now(), has_dhcp=False, devices=3)
    assert type(await rig.service.agents.handle(beat)).__name__ == "Done"
    [agent] = await rig.store.agents()
    assert (agent.devices, agent.has_dhcp) == (3, False)
