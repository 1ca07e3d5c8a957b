"""What a host's firewall knows: the ports that are wired, and their security groups (hop wired)."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Never

import structlog

from moorage.agent import places, rules
from moorage.agent.places import Place
from moorage.agent.shared import Guarded, SharedFlows
from moorage.domain.errors import MoorageError, Unavailable
from moorage.domain.ids import HostName, NetworkId, PortId
from moorage.seams.bus import Bus
from moorage.seams.switch import Interface, Shared, WirePlan
from moorage.wire import messages as wire

log = structlog.get_logger(__name__)

PACE = 0.05  # seconds between two questions: changes that come meanwhile are asked for together
AGAIN_AFTER = 0.5  # seconds, when the network did not answer


@dataclass
class Firewall:
    """`groups` are only what the network said last; it says when they are not so any more (`changed`), and the agent's
    full look has them asked for in any case (`changed_all`)."""

    host: HostName
    bus: Bus
    ports: dict[PortId, Guarded] = field(default_factory=dict)
    groups: dict[str, wire.GroupSpec] = field(default_factory=dict)
    _expected: frozenset[str] = frozenset()  # groups of ports that will be planned
    _shared: SharedFlows = field(default_factory=SharedFlows)
    _work: asyncio.Event = field(default_factory=asyncio.Event)
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)  # an older answer never comes after a newer one

    # ---- what ports need

    async def learn(self, groups: Iterable[str]) -> None:
        """Have these groups; asks only if one is not known. Raises Unavailable."""
        self._expected = frozenset(groups)
        if not self._expected <= self.groups.keys():
            await self._ask()

    def plan(self, details: wire.PortDetails, interface: Interface, vlan: int) -> WirePlan:
        """How this port is made to work; from now on it is one of ours. Raises ValueError for nonsensical details."""
        assert interface.ofport is not None, f"port {interface.port} has no ofport"
        place = _place(details, interface.ofport, vlan)
        self.ports[interface.port] = place, details.security_groups
        return WirePlan(
            port=interface.port,
            ofport=interface.ofport,
            vlan=vlan,
            network=NetworkId(details.network),
            generation=interface.generation,
            flows=tuple(places.flows_of(place)),
            zone=interface.ofport,
        )

    def forget(self, ports: Iterable[PortId]) -> None:
        """These ports are not wired any more."""
        for port in ports:
            self.ports.pop(port, None)

    async def shared(self, bridge: Mapping[PortId, Interface], *, leaving: Collection[PortId] = ()) -> Shared:
        """The flows that are no server port's own. `leaving`: ports on the bridge that are not to work any more.

        A port that has another ofport than it was planned with (the switch was restarted) is not known until it is
        planned anew: where it was may be somebody else's by now, of another network.
        """
        there = {
            port: guarded
            for port, guarded in self.ports.items()
            if port in bridge and bridge[port].ofport == guarded[0].ofport
        }
        return await self._shared.of(bridge, there, self.groups, leaving)

    # ---- what the network says of groups

    def changed(self, groups: Iterable[str]) -> None:
        """These groups are not what they were. While we ask it may be that the answer does not have it yet."""
        if self._one_at_a_time.locked() or any(group in self.groups for group in groups):
            self._work.set()

    def changed_all(self) -> None:
        """Any group may not be what it was."""
        self._work.set()

    async def run(self, renewed: Callable[[], None]) -> Never:
        """Ask whenever something changed; what changes meanwhile is asked for together, soon after."""
        while True:
            await self._work.wait()
            self._work.clear()
            before = self.groups
            try:
                await self._ask()
            except MoorageError as error:
                log.warning("nobody says what security groups are; asking again", error=str(error))
                await asyncio.sleep(AGAIN_AFTER)
                self._work.set()
                continue
            if self.groups != before:
                renewed()
            await asyncio.sleep(PACE)

    async def _ask(self) -> None:
        """Have all groups of our ports, and those that are expected, as they are now."""
        async with self._one_at_a_time:
            answer, asked = None, frozenset[str]()
            while answer is None or not self._wanted() <= asked:  # a port may have come meanwhile
                asked = self._wanted()
                answer = await self._answer(asked)
            changed = {group.id: group for group in answer.changed}
            self.groups = {
                group: spec
                for group in answer.ids
                if (spec := changed.get(group) or self.groups.get(group)) is not None
            }

    def _wanted(self) -> frozenset[str]:
        return self._expected.union(*(groups for _, groups in self.ports.values()))

    async def _answer(self, groups: frozenset[str]) -> wire.Groups:
        known = {group.id: group.digest for group in self.groups.values()}
        wanted = wire.GroupsWanted(host=self.host, groups=tuple(sorted(groups)), known=known)
        answer = await self.bus.call("network", wanted)
        if not isinstance(answer, wire.Groups):
            raise Unavailable(f"network answered {type(answer).__name__}, not Groups")
        return answer


def _place(details: wire.PortDetails, ofport: int, vlan: int) -> Place:
    network = NetworkId(details.network)
    if not details.port_security_enabled:
        return Place(network, vlan, ofport, details.mac)
    pairs = [(pair.get("mac_address"), pair["ip_address"]) for pair in details.allowed_address_pairs]
    may_be = places.may_be(details.mac, details.addresses, pairs)
    return Place(network, vlan, ofport, details.mac, rules.policy_of(details.security_groups), may_be)
