"""Which VLAN stands for which network on a host, or on hosts that are joined (hop wired).

A network keeps its number for as long as anybody has it; given back, it is given out again after all others.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain

from moorage.domain.errors import Exhausted
from moorage.domain.ids import NetworkId
from moorage.seams.switch import DEAD_VLAN, Interface


@dataclass
class Vlans:
    """`who` has a number: a host's agent, or its DHCP for as long as the agent does not know of it."""

    numbers: dict[NetworkId, int] = field(default_factory=dict)
    _had: dict[str, set[NetworkId]] = field(default_factory=dict)  # by whom
    _last: int = 0

    def seen(self, who: str, bridge: Iterable[Interface]) -> None:
        """What a bridge shows: an agent's restart changes nothing.

        Of several VLANs of one network, and of several networks on one VLAN, those that most ports have are right; for
        the others `is_right` says no. Raises Exhausted when such a network can have no other.
        """
        tags: dict[NetworkId, Counter[int]] = {}
        for interface in bridge:
            if interface.network is not None and interface.vlan is not None and interface.vlan != DEAD_VLAN:
                tags.setdefault(interface.network, Counter())[interface.vlan] += 1
        taken = set(self.numbers.values())
        for network in sorted(tags, key=lambda network: (-tags[network].total(), network)):
            free = [(-ports, vlan) for vlan, ports in tags[network].items() if vlan not in taken]
            if network not in self.numbers and free:
                self.numbers[network] = min(free)[1]
                taken.add(self.numbers[network])
            self.of(who, network)

    def is_right(self, interface: Interface) -> bool:
        """Whether a port has its network's VLAN, or none at all."""
        if interface.network is None or interface.vlan in (None, DEAD_VLAN):
            return True
        return self.numbers.get(interface.network) == interface.vlan

    def of(self, who: str, network: NetworkId) -> int:
        """The network's number, which `who` has from now on. Raises Exhausted when all 4094 are in use."""
        if network not in self.numbers:
            self.numbers[network] = self._last = self._free()
        self._had.setdefault(who, set()).add(network)
        return self.numbers[network]

    def keep(self, who: str, networks: Collection[NetworkId]) -> None:
        """No port and no flow of `who` bears the number of another network than these."""
        self._had[who] = set(networks)
        for network in self.numbers.keys() - set().union(*self._had.values()):
            del self.numbers[network]

    @contextmanager
    def held(self, who: str, network: NetworkId) -> Iterator[int]:
        """The network's number, which is not given back meanwhile. Raises Exhausted."""
        vlan = self.of(who, network)
        try:
            yield vlan
        finally:
            self._had[who].discard(network)

    def _free(self) -> int:
        used = set(self.numbers.values())
        for vlan in chain(range(self._last + 1, DEAD_VLAN), range(1, self._last + 1)):
            if vlan not in used:
                return vlan
        raise Exhausted("all 4094 VLANs of this host are in use")
