"""What a host's firewall knows and makes of it: no more flows than needed, none too early, none too late."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any, Never

import pytest

from moorage.adapters.memory.flow_sense import nonsense_of
from moorage.agent.firewall import Firewall
from moorage.agent.pipeline import FLOOD_ALL
from moorage.domain.errors import Unavailable
from moorage.domain.ids import HostName, NetworkId, PortId
from moorage.seams.bus import Handler
from moorage.seams.flow import Flow, Output
from moorage.seams.switch import DEAD_VLAN, Interface, Shared, WirePlan
from moorage.wire import messages as wire

pytestmark = pytest.mark.looptime

NET, OTHER = NetworkId("net"), NetworkId("other")
RULES = (
    wire.GroupRuleSpec(direction="egress", ethertype="IPv4"),
    wire.GroupRuleSpec(direction="ingress", ethertype="IPv4", protocol=6, first=22, last=22, remote_prefix="9.0.0.0/8"),
    wire.GroupRuleSpec(direction="ingress", ethertype="IPv4", protocol=17, first=1, last=9, remote_group="g"),
)


@dataclass
class Network:
    """Tells groups, after a while."""

    groups: dict[str, wire.GroupSpec] = field(default_factory=dict)
    takes: float = 0.0
    is_silent: bool = False
    asked: list[wire.GroupsWanted] = field(default_factory=list)

    async def call(self, queue: str, message: wire.Message, *, timeout: float = 10.0) -> wire.Message:
        assert isinstance(message, wire.GroupsWanted)
        self.asked.append(message)
        found = [self.groups[group] for group in message.groups if group in self.groups]
        await asyncio.sleep(self.takes)
        if self.is_silent:
            raise Unavailable("no answer")
        changed = [group for group in found if message.known.get(group.id) != group.digest]
        return wire.Groups(ids=tuple(group.id for group in found), changed=tuple(changed))

    async def cast(self, queue: str, message: wire.Message) -> None: ...

    async def serve(self, queue: str, handler: Handler) -> Never:
        raise AssertionError("nobody serves here")

    async def reconnects(self) -> AsyncIterator[None]:
        return
        yield

    def tell(self, name: str, *addresses: str, digest: str = "1") -> None:
        members = tuple((NET, address) for address in addresses)
        self.groups[name] = wire.GroupSpec(id=name, digest=digest, rules=RULES, members=members)


class Host:
    """A firewall, and the bridge that it is for."""

    def __init__(self, network: Network) -> None:
        self.firewall = Firewall(HostName("h1"), network)
        self.bridge: dict[PortId, Interface] = {}

    def port(self, number: int, *, network: NetworkId = NET, vlan: int = 7, is_service: bool = False) -> PortId:
        port = PortId(f"{number:08x}-0000-4000-8000-00000000000a")
        mac = f"fa:16:3e:00:00:{number:02x}"
        self.bridge[port] = Interface(port, "tap", mac, number, vlan, network=network, is_service=is_service)
        return port

    def plan(self, number: int, *groups: str, network: NetworkId = NET, vlan: int = 7, **details: Any) -> WirePlan:
        port = self.port(number, network=network, vlan=vlan)
        told = wire.PortDetails(
            port=port,
            is_bound_here=True,
            network=network,
            mac=self.bridge[port].mac,
            addresses=(f"10.0.0.{number}",),
            security_groups=groups,
        )
        for name, value in details.items():
            setattr(told, name, value)
        return self.firewall.plan(told, self.bridge[port], vlan)

    async def shared(self) -> Shared:
        return await self.firewall.shared(self.bridge)


def all_of(shared: Shared, *plans: WirePlan) -> list[Flow]:
    return [flow for flows in (*shared.flows.values(), *(plan.flows for plan in plans)) for flow in flows]


async def test_a_port_more_is_its_own_flows_a_member_and_its_networks_floods_however_many_there_are() -> None:
    network = Network()
    host = Host(network)
    network.tell("g", *(f"10.0.0.{number}" for number in range(1, 100)))
    await host.firewall.learn(["g"])
    plans = [host.plan(number, "g") for number in range(1, 100)]
    before = await host.shared()
    network.tell("g", *(f"10.0.0.{number}" for number in range(1, 101)), digest="2")
    await host.firewall.learn(["g", "one that asks for all anew"])
    last = host.plan(100, "g")
    after = await host.shared()
    new = {name for name, flows in after.flows.items() if before.flows.get(name) is not flows}
    assert {name for name in new if not name.startswith("policy")} == {f"network {NET}", "member 7 10.0.0.100"}
    assert {flow for name in new if name.startswith("policy") for flow in after.flows[name]} == {
        flow for name, flows in before.flows.items() if name.startswith("policy") for flow in flows
    }
    flows = all_of(after, *plans, last)
    assert len(flows) < 14 * 100 + 100
    assert [why for flow in flows if (why := nonsense_of(flow))] == []
    assert len({(flow.table, flow.priority, flow.match) for flow in flows}) == len(flows), "none takes another's place"


async def test_a_port_with_everything_has_flows_that_a_switch_takes() -> None:
    host = Host(Network())
    pairs = ({"ip_address": "10.9.0.0/24"}, {"ip_address": "2001:db8::/64", "mac_address": "00:00:5e:00:01:07"})
    plans = [
        host.plan(1, allowed_address_pairs=pairs),
        host.plan(2, allowed_address_pairs=pairs),
        host.plan(3, port_security_enabled=False),
    ]
    host.port(4, is_service=True)
    host.bridge[PortId("uplink")] = Interface(PortId("uplink"), "uplink", "", 5, None, is_service=True)
    shared = await host.shared()
    flows = all_of(shared, *plans)
    assert shared.is_all
    assert [why for flow in flows if (why := nonsense_of(flow))] == []
    assert len({(flow.table, flow.priority, flow.match) for flow in flows}) == len(flows), "none takes another's place"


async def test_what_may_depend_on_a_port_that_is_not_known_yet_is_left_as_it_is() -> None:
    network = Network()
    network.tell("g", "10.0.0.1")
    host = Host(network)
    await host.firewall.learn(["g"])
    host.plan(1, "g")
    host.plan(3, "g", network=OTHER)
    later = host.port(2)
    shared = await host.shared()
    assert not shared.is_all
    assert f"network {NET}" not in shared.flows
    assert f"network {OTHER}" in shared.flows
    assert not any(name.startswith("member") for name in shared.flows)
    assert {"base", "group g"} <= shared.flows.keys()
    assert (await host.firewall.shared(host.bridge, leaving=[later])).is_all
    host.port(2, vlan=DEAD_VLAN)
    assert (await host.shared()).is_all, "one that was never wired has nothing to lose"


async def test_nothing_is_sent_to_where_a_port_was() -> None:
    host = Host(Network())
    host.plan(1)
    moved, gone = host.plan(2).port, host.plan(3).port

    async def reached() -> set[int]:
        flows = all_of(await host.shared())
        return {action.port for flow in flows for action in flow.actions if isinstance(action, Output)}

    assert await reached() == {1, 2, 3}
    del host.bridge[gone]
    assert await reached() == {1, 2}, "it went before it was ever wired"
    host.bridge[moved] = replace(host.bridge[moved], ofport=9)
    assert f"network {NET}" not in (await host.shared()).flows
    assert not (await host.shared()).is_all
    host.bridge[moved] = replace(host.bridge[moved], vlan=DEAD_VLAN)
    assert await reached() == {1}


async def test_only_groups_that_are_not_known_are_asked_for_when_a_port_comes() -> None:
    network = Network()
    network.tell("g")
    network.tell("h")
    host = Host(network)
    await host.firewall.learn(["g"])
    host.plan(1, "g")
    await host.firewall.learn(["g"])
    await host.firewall.learn([])
    assert len(network.asked) == 1
    await host.firewall.learn(["h"])
    assert host.firewall.groups.keys() == {"g", "h"}


async def test_what_changes_is_asked_for_at_once_and_what_changes_meanwhile_together() -> None:
    network = Network(takes=0.1)
    network.tell("g")
    host = Host(network)
    await host.firewall.learn(["g"])
    host.plan(1, "g")
    renewed: list[float] = []
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(host.firewall.run(lambda: renewed.append(loop.time())))
        network.asked.clear()
        began = loop.time()
        network.tell("g", "10.0.0.1", digest="2")
        host.firewall.changed(["g", "of no port here"])
        await asyncio.sleep(0.05)
        for number in range(2, 52):
            network.tell("g", *(f"10.0.0.{each}" for each in range(1, number + 1)), digest=str(number + 1))
            host.firewall.changed(["g"])
        await asyncio.sleep(1.0)
        assert len(network.asked) == 2
        assert [at - began for at in renewed] == pytest.approx([0.1, 0.25])
        assert len(host.firewall.groups["g"].members) == 51
        host.firewall.changed(["of no port here"])
        host.firewall.changed_all()
        await asyncio.sleep(1.0)
        assert len(network.asked) == 3
        assert len(renewed) == 2, "nothing was new"
        running.cancel()


async def test_what_changes_while_a_group_is_asked_for_the_first_time_is_not_missed() -> None:
    network = Network(takes=0.1)
    network.tell("g")
    host = Host(network)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(host.firewall.run(lambda: None))
        learning = tasks.create_task(host.firewall.learn(["g"]))
        await asyncio.sleep(0.05)  # what it is has been read, and is on its way
        network.tell("g", "10.0.0.1", digest="2")
        host.firewall.changed(["g"])
        await learning
        assert host.firewall.groups["g"].digest == "1"
        await asyncio.sleep(0.2)
        running.cancel()
    assert host.firewall.groups["g"].digest == "2"


async def test_a_network_that_does_not_answer_is_asked_again() -> None:
    network = Network(is_silent=True)
    network.tell("g")
    host = Host(network)
    with pytest.raises(Unavailable):
        await host.firewall.learn(["g"])
    renewed: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(host.firewall.run(lambda: renewed.append("renewed")))
        host.firewall.changed_all()
        await asyncio.sleep(1.2)
        assert renewed == []
        network.is_silent = False
        await asyncio.sleep(0.6)
        assert renewed == ["renewed"]
        running.cancel()


async def test_a_port_that_comes_while_groups_are_asked_for_keeps_its_group() -> None:
    network = Network()
    network.tell("g")
    network.tell("h")
    host = Host(network)
    await host.firewall.learn(["g", "h"])
    host.plan(1, "g")
    await host.firewall.learn(["g"])
    network.takes = 0.1
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(host.firewall.run(lambda: None))
        host.firewall.changed_all()
        await asyncio.sleep(0.05)
        host.plan(2, "h")
        await asyncio.sleep(1.0)
        running.cancel()
    assert host.firewall.groups.keys() == {"g", "h"}


async def test_ports_of_one_network_on_two_vlans_reach_those_on_their_own() -> None:
    network = Network()
    network.tell("g", "10.0.0.1", "10.0.0.2")
    host = Host(network)
    await host.firewall.learn(["g"])
    plans = [host.plan(1, "g"), host.plan(2, "g"), host.plan(3, "g", vlan=9)]
    flows = all_of(await host.shared(), *plans)
    outputs = {
        flow.match.reg6: {action.port for action in flow.actions if isinstance(action, Output)}
        for flow in flows
        if flow.table == FLOOD_ALL and flow.match.reg6 is not None
    }
    assert outputs == {7: {1, 2}, 9: {3}}
    assert len({(flow.table, flow.priority, flow.match) for flow in flows}) == len(flows), "none takes another's place"
    assert {flow.match.reg6 for flow in flows if str(flow.match.ct_nw_src).startswith("10.0.0.")} == {7, 9}
