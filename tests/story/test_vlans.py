"""Networks come and go on a host, which has 4094 VLANs for them; and somebody else changes which is whose."""

from collections.abc import Mapping

import pytest
from tests.story.clouds import Story, a_port, story, until

from moorage.domain.ids import NetworkId, PortId, ServerId, device_name
from moorage.seams.switch import DEAD_VLAN

pytestmark = pytest.mark.looptime


async def another_network(story: Story, name: str) -> str:
    made = (await story.network.json("POST", "/v2.0/networks", {"network": {"name": name}}))["network"]
    subnet = {"network_id": made["id"], "ip_version": 4, "cidr": "10.1.0.0/24"}
    await story.network.json("POST", "/v2.0/subnets", {"subnet": subnet})
    return str(made["id"])


def vlans_on_the_switch(story: Story) -> set[int]:
    """Those that its flows bear."""
    flows = [flow for flows in story.world.switch.shared_flows().values() for flow in flows]
    return {flow.match.reg6 for flow in flows if isinstance(flow.match.reg6, int)}


async def running(story: Story, name: str, network: str | None = None) -> ServerId:
    server = await story.create(name, networks=[{"uuid": network or story.network_id}])
    assert await story.settled(server, within=5) == "ACTIVE"
    return server


async def test_a_host_with_one_free_vlan_serves_networks_one_after_another() -> None:
    async with story() as cloud:
        used = {NetworkId(f"elsewhere-{vlan}"): vlan for vlan in range(1, DEAD_VLAN) if vlan != 7}
        cloud.world.vlans.numbers |= used
        cloud.world.vlans.keep("another host", used.keys())
        for name in ("first", "second", "third"):
            network = await another_network(cloud, name)
            server = await running(cloud, name, network)
            assert vlans_on_the_switch(cloud) == {7}
            await cloud.delete(server)

            async def is_deleted(server: ServerId = server) -> bool:
                return not await cloud.no_trace(server)

            await until(is_deleted, within=3)
            await cloud.network.call("DELETE", f"/v2.0/networks/{network}")

            async def is_given_back(network: str = network) -> bool:
                return NetworkId(network) not in cloud.world.vlans.numbers

            await until(is_given_back, within=15)
            assert not vlans_on_the_switch(cloud)


async def test_ports_whose_vlan_somebody_else_has_changed_are_put_right() -> None:
    async with story() as cloud:
        servers = [await running(cloud, name) for name in ("one", "two", "three")]
        ports = [a_port(await cloud.port(server)) for server in servers]
        [service] = await cloud.ports(f"dhcp-host-1-{cloud.network_id}")
        switch = cloud.world.switch

        def tags() -> Mapping[PortId, int | None]:
            found = [switch.interface(port) for port in ports]
            found.append(switch.service_port(device_name(PortId(service["id"]))))
            return {seen.port: seen.vlan for seen in found if seen is not None}

        before = tags()
        assert len(before) == 4
        switch.retagged_by_another(ports[0], 99)
        switch.retagged_by_another(a_port(service), 99)

        async def are_right() -> bool:
            return tags() == before

        await until(are_right, within=1)
        assert vlans_on_the_switch(cloud) == set(before.values())


async def test_an_agent_that_finds_two_vlans_of_a_network_makes_them_one() -> None:
    async with story() as cloud:
        servers = [await running(cloud, name) for name in ("one", "two", "three")]
        ports = [a_port(await cloud.port(server)) for server in servers]
        await cloud.host.agent.stop()
        cloud.world.vlans.keep("host-1", [])
        cloud.world.switch.retagged_by_another(ports[0], 99)
        cloud.host.agent.start()

        async def are_one() -> bool:
            found = [cloud.world.switch.interface(port) for port in ports]
            return {seen.vlan for seen in found if seen is not None} == {1} == vlans_on_the_switch(cloud)

        await until(are_one, within=1)
        assert await running(cloud, "four")
