"""Groups of thousands: a flow for each member, made and packed in pieces that let others have their turn."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.unit.test_agent_firewall import NET, Host, Network

from moorage.adapters.openflow.client import OpenFlowClient
from moorage.adapters.ovsdb.standing import Standing
from moorage.seams.switch import Shared
from moorage.wire import messages as wire

MEMBERS, PORTS = 5_000, 50
DEFAULT_GROUP = (
    *(wire.GroupRuleSpec(direction="egress", ethertype=version) for version in ("IPv4", "IPv6")),
    *(wire.GroupRuleSpec(direction="ingress", ethertype=version, remote_group="g") for version in ("IPv4", "IPv6")),
)


def told(members: int) -> wire.GroupSpec:
    addresses = tuple([(str(NET), f"10.0.{number >> 8}.{number & 255}") for number in range(1, members + 1)])
    return wire.GroupSpec(id="g", digest=str(members), rules=DEFAULT_GROUP, members=addresses)


async def host_with(network: Network) -> Host:
    host = Host(network)
    await host.firewall.learn(["g"])
    for number in range(1, PORTS + 1):
        host.plan(number, "g")
    return host


async def turns_of_others(during: Callable[[], Awaitable[object]]) -> int:
    """How often another task has its turn meanwhile."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with asyncio.TaskGroup() as group:
        task = group.create_task(other())
        await during()
        task.cancel()
    return turns


async def test_a_member_of_a_large_group_is_one_flow_where_rules_ask_for_members_one_way() -> None:
    host = await host_with(Network({"g": told(MEMBERS)}))
    shared = await host.shared()
    assert sum(map(len, shared.flows.values())) < MEMBERS + 2 * PORTS
    again = await host.shared()
    assert all(again.flows[name] is flows for name, flows in shared.flows.items()), "nothing is made twice"


async def test_others_have_their_turn_while_a_large_groups_flows_are_made_and_packed() -> None:
    host = await host_with(Network({"g": told(MEMBERS)}))
    made: list[Shared] = []

    async def make() -> None:
        made.append(await host.shared())

    assert await turns_of_others(make) >= MEMBERS // 150
    standing = Standing(OpenFlowClient("nowhere", lambda _: None))
    assert await turns_of_others(lambda: standing.pack(made[0])) >= MEMBERS // 150
    assert sum(map(len, standing.change(made[0]).new.values())) > MEMBERS


async def test_a_member_more_of_a_large_group_is_one_message() -> None:
    network = Network({"g": told(MEMBERS)})
    host = await host_with(network)
    standing = Standing(OpenFlowClient("nowhere", lambda _: None))
    standing.changed(standing.change(await host.shared()))
    network.groups["g"] = told(MEMBERS + 1)
    await host.firewall.learn(["g", "one that asks for all anew"])
    change = standing.change(await host.shared())
    assert [len(messages) for messages in change.new.values()] == [1]
    assert change.gone == []
