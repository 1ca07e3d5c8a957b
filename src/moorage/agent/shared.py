"""The flows that are no server port's own: the pipeline's, service ports', each network's, and those of groups."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from moorage.agent import floods, pipeline, places, rules
from moorage.agent.members import Members
from moorage.agent.places import Place
from moorage.domain.ids import NetworkId, PortId
from moorage.seams.flow import Flow
from moorage.seams.switch import DEAD_VLAN, Interface, Shared
from moorage.wire.messages import GroupSpec

log = structlog.get_logger(__name__)

Guarded = tuple[Place, tuple[str, ...]]  # a server's port, and the ids of its groups


@dataclass
class SharedFlows:
    """What they are follows from what is given, and from nothing else; here is kept what need not be made again.

    An agent that was restarted finds ports at work of which it knows nothing yet. Until it does, what might depend on
    them is left as it is: their networks' floods, and the members of groups.
    """

    _made: dict[str, tuple[object, tuple[Flow, ...]]] = field(default_factory=dict)  # by name, and of what
    _members: Members = field(default_factory=Members)

    async def of(
        self,
        bridge: Mapping[PortId, Interface],
        ports: Mapping[PortId, Guarded],
        groups: Mapping[str, GroupSpec],
        leaving: Collection[PortId],
    ) -> Shared:
        """All that can be told, by name. What is as it was is the same object as it was."""
        spoken_for = ports.keys() | leaving
        unknown = {bridge[port].network for port in bridge.keys() - spoken_for if _works(bridge[port])}
        services = {port: place for port, seen in bridge.items() if (place := _service(seen)) is not None}
        by_network: dict[NetworkId, list[Place]] = {}
        for place in (*(place for place, _ in ports.values()), *services.values()):
            by_network.setdefault(place.network, []).append(place)
        uplinks = tuple(sorted(seen.ofport for seen in bridge.values() if _is_uplink(seen) and seen.ofport is not None))

        made = {"base": self._kept("base", uplinks, partial(pipeline.base, uplinks))}
        for port, place in services.items():
            made[port] = self._kept(port, place, partial(places.flows_of, place))
        for network, there in by_network.items():
            if network not in unknown:
                name = f"network {network}"
                made[name] = self._kept(name, there, partial(floods.flows_of, there))
        of_policies, asked, remotes = self._rules(ports.values(), groups)
        made |= of_policies
        self._made = made
        flows = {name: flows for name, (_, flows) in made.items()}
        if not unknown:
            vlans = {network: frozenset(place.vlan for place in there) for network, there in by_network.items()}
            flows |= await self._members.flows(remotes, asked, vlans)
        return Shared(flows, is_all=not unknown)

    def _rules(
        self, ports: Iterable[Guarded], groups: Mapping[str, GroupSpec]
    ) -> tuple[dict[str, tuple[object, tuple[Flow, ...]]], Mapping[str, rules.Asked], Sequence[GroupSpec]]:
        """What policies are made of, by name; where they ask for members, and of which groups."""
        used = {place.policy: of for place, of in ports if place.policy is not None}
        policies = {policy: [groups[group] for group in sorted(of) if group in groups] for policy, of in used.items()}
        all_of = [group for of in policies.values() for group in of]
        numbers = rules.numbers_of(rules.remotes_of(all_of))
        made = {}
        for policy, of in policies.items():
            name, met = f"policy {policy:016x}", {remote: numbers[remote] for remote in rules.remotes_of(of)}
            digests = [group.digest for group in of]
            made[name] = self._kept(name, (digests, met), partial(rules.flows_of_policy, policy, of, met))
        for remote, number in numbers.items():
            name = f"group {remote}"
            made[name] = self._kept(name, number, partial(rules.flows_of_group, number))
        return made, rules.asked_of(all_of, numbers), [groups[remote] for remote in numbers if remote in groups]

    def _kept(self, name: str, of: object, make: Callable[[], Sequence[Flow]]) -> tuple[object, tuple[Flow, ...]]:
        before = self._made.get(name)
        if before is not None and before[0] == of:
            return before
        try:
            return of, tuple(make())
        except (ValueError, KeyError) as error:
            log.error("what the network tells makes no sense; nothing passes by it", name=name, error=str(error))
            return of, ()


def _works(seen: Interface) -> bool:
    """Whether it is a server's port that has its network."""
    return not seen.is_service and seen.ofport is not None and seen.vlan not in (None, DEAD_VLAN)


def _is_uplink(seen: Interface) -> bool:
    return seen.is_service and seen.network is None


def _service(seen: Interface) -> Place | None:
    """The port of our own that this is, once it is open."""
    if not seen.is_service or seen.network is None or seen.ofport is None or seen.vlan is None:
        return None
    if seen.vlan == DEAD_VLAN:
        return None
    return Place(seen.network, seen.vlan, seen.ofport, seen.mac, is_service=True)
