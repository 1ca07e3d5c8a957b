"""Security groups reach the switches of hosts: at once when agents are told, and at the next full look when not."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime

import pytest
from tests.story.clouds import Story, a_port, story, until

from moorage.agent.pipeline import RULES_IN
from moorage.domain.ids import PortId, ServerId
from moorage.domain.security_group import SecurityGroupRule
from moorage.seams.flow import Flow

pytestmark = pytest.mark.looptime


async def running(story: Story, name: str) -> tuple[ServerId, PortId]:
    server = await story.create(name)
    assert await story.settled(server, within=5) == "ACTIVE"
    return server, a_port(await story.port(server))


def shared(story: Story, host: int = 0) -> list[Flow]:
    """The flows that no server's port has for itself."""
    return [flow for flows in story.worlds[host].switch.shared_flows().values() for flow in flows]


def ports_let_in(story: Story) -> Collection[object]:
    return [flow.match.ct_tp_dst for flow in shared(story) if flow.table == RULES_IN and flow.match.ct_tp_dst]


def members(story: Story, host: int = 0) -> set[str]:
    return {str(flow.match.ct_nw_src) for flow in shared(story, host) if flow.match.ct_nw_src is not None}


async def default_group(story: Story) -> str:
    groups = (await story.network.json("GET", "/v2.0/security-groups?name=default"))["security_groups"]
    return str(groups[0]["id"])


async def test_a_rule_that_is_made_and_deleted_is_on_the_switch_within_a_second_and_off_it() -> None:
    async with story() as cloud:
        await running(cloud, "web")
        body = {
            "security_group_id": await default_group(cloud),
            "direction": "ingress",
            "protocol": "tcp",
            "port_range_min": 80,
            "port_range_max": 80,
        }
        rule = (await cloud.network.json("POST", "/v2.0/security-group-rules", {"security_group_rule": body}))[
            "security_group_rule"
        ]

        async def is_on() -> bool:
            return 80 in ports_let_in(cloud)

        await until(is_on, within=1)
        await cloud.network.call("DELETE", f"/v2.0/security-group-rules/{rule['id']}")

        async def is_off() -> bool:
            return 80 not in ports_let_in(cloud)

        await until(is_off, within=1)


async def test_a_rule_that_no_agent_was_told_of_is_on_the_switch_after_the_next_full_look() -> None:
    async with story() as cloud:
        await running(cloud, "web")
        group = await default_group(cloud)
        store = cloud.plane.network.store
        [found] = await store.groups(None, ids=[group])
        lost = SecurityGroupRule("r1", group, found.project_id, "ingress", "IPv4", datetime.now(UTC), "tcp", 22, 22)
        await store.create_rules([lost])

        async def is_on() -> bool:
            return 22 in ports_let_in(cloud)

        await until(is_on, within=11)


async def test_a_member_on_one_host_is_let_in_on_the_others_and_is_gone_with_its_server() -> None:
    async with story(hosts=2) as cloud:
        first, _ = await running(cloud, "first")
        second, port = await running(cloud, "second")
        hosts = [(await cloud.port(server))["binding:host_id"] for server in (first, second)]
        assert len(set(hosts)) == 2
        address = (await cloud.port(second))["fixed_ips"][0]["ip_address"]
        elsewhere = [world.name for world in cloud.worlds].index(hosts[0])

        async def is_let_in() -> bool:
            return f"{address}/32" in members(cloud, elsewhere)

        await until(is_let_in, within=0.1)
        await cloud.delete(second)

        async def is_gone() -> bool:
            return f"{address}/32" not in members(cloud, elsewhere)

        await until(is_gone, within=3)
        assert cloud.worlds[1 - elsewhere].switch.flows(port) == ()


async def test_the_last_port_of_a_host_takes_all_rules_with_it() -> None:
    async with story() as cloud:
        server, _ = await running(cloud, "web")
        assert any(flow.table == RULES_IN for flow in shared(cloud))
        assert members(cloud)
        await cloud.delete(server)

        async def is_gone() -> bool:
            return not any(flow.table == RULES_IN for flow in shared(cloud))

        await until(is_gone, within=3)


async def test_an_agent_that_begins_anew_makes_the_same_of_what_it_finds() -> None:
    async with story() as cloud:
        for name in ("one", "two", "three"):
            await running(cloud, name)
        await asyncio.sleep(1)
        before = sorted(map(str, shared(cloud)))
        await cloud.host.agent.stop()
        cloud.host.agent.start()
        await asyncio.sleep(3)
        assert sorted(map(str, shared(cloud))) == before
