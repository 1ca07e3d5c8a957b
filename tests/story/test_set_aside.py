"""A port of which the network tells nonsense: it is set aside, alone, and told of; all others go on."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest
import structlog
from tests.story.clouds import Story, a_port, story, until

from moorage.domain.hops import Fact, SubFact
from moorage.domain.ids import PortId, ServerId
from moorage.domain.port import Port

pytestmark = pytest.mark.looptime

NONSENSE = "10.0.0.1/nonsense"


async def running(story: Story, name: str) -> tuple[ServerId, PortId]:
    server = await story.create(name)
    assert await story.settled(server, within=5) == "ACTIVE"
    return server, a_port(await story.port(server))


async def spoil(story: Story, port: PortId, *pairs: Mapping[str, str]) -> None:
    """A port as no client can make it, in the database; no agent is told."""

    def spoilt(before: Port) -> Port:
        return replace(before, allowed_address_pairs=tuple(pairs))

    await story.plane.network.store.update(port, spoilt)


def members(story: Story) -> set[str]:
    flows = [flow for flows in story.world.switch.shared_flows().values() for flow in flows]
    return {str(flow.match.ct_nw_src) for flow in flows if flow.match.ct_nw_src is not None}


def asides(story: Story, port: PortId) -> list[Fact]:
    return [fact for fact in story.facts if fact.what is SubFact.SET_ASIDE and fact.port == port]


@pytest.mark.parametrize("pair", [{"ip_address": NONSENSE}, {"mac_address": "nonsense", "ip_address": "10.9.9.9"}])
async def test_a_live_port_that_makes_no_sense_is_set_aside_alone(pair: Mapping[str, str]) -> None:
    async with story() as cloud:
        server, port = await running(cloud, "bad")
        _, other = await running(cloud, "good")
        await asyncio.sleep(1)
        with structlog.testing.capture_logs() as lines:
            await spoil(cloud, port, pair)
            await asyncio.sleep(35)  # three full looks
        [fact] = asides(cloud, port)
        assert fact.server == server
        assert fact.detail
        assert [line["port"] for line in lines if "is set aside" in line["event"]] == [port]
        assert cloud.world.switch.flows(port) == ()
        assert (await cloud.port(server))["status"] != "ACTIVE"
        assert cloud.world.switch.flows(other) != ()


async def test_members_that_come_reach_others_while_a_port_makes_no_sense() -> None:
    async with story() as cloud:
        _, port = await running(cloud, "bad")
        await running(cloud, "good")
        await spoil(cloud, port, {"ip_address": NONSENSE})
        await asyncio.sleep(15)
        newer, _ = await running(cloud, "newer")
        address = (await cloud.port(newer))["fixed_ips"][0]["ip_address"]

        async def is_let_in() -> bool:
            return f"{address}/32" in members(cloud)

        await until(is_let_in, within=1)


async def test_a_port_that_makes_sense_again_is_wired_again() -> None:
    async with story() as cloud:
        server, port = await running(cloud, "bad")
        await spoil(cloud, port, {"ip_address": NONSENSE})
        await asyncio.sleep(15)
        assert (await cloud.port(server))["status"] != "ACTIVE"
        await spoil(cloud, port)

        async def is_up() -> bool:
            return bool((await cloud.port(server))["status"] == "ACTIVE")

        await until(is_up, within=11)
        assert cloud.world.switch.flows(port) != ()
