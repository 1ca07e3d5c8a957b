"""The members of remote groups as flows: one for each, in each direction that rules ask for, however many ports."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from moorage.agent import rules
from moorage.agent.rules import Asked
from moorage.domain.ids import NetworkId
from moorage.seams.flow import Flow
from moorage.wire.messages import GroupSpec

log = structlog.get_logger(__name__)

AT_ONCE = 128  # members: 2 ms to make their flows


@dataclass
class Members:
    """What is as it was is the same object as it was."""

    _of: object = None
    _met: Mapping[tuple[int, str], Asked] = field(default_factory=dict)
    _flows: dict[str, tuple[Flow, ...]] = field(default_factory=dict)  # by name

    async def flows(
        self, remotes: Sequence[GroupSpec], asked: Mapping[str, Asked], vlans: Mapping[NetworkId, Collection[int]]
    ) -> Mapping[str, tuple[Flow, ...]]:
        """Of these groups' members on these networks, by name; made AT_ONCE, and others have their turn in between."""
        of = [(remote.digest, asked[remote.id]) for remote in remotes], vlans
        if self._of == of:
            return self._flows
        met, made, new = rules.members_of(remotes, asked, vlans), {}, 0
        for (vlan, address), found in met.items():
            name = f"member {vlan} {address}"
            if self._met.get((vlan, address)) == found:
                made[name] = self._flows[name]
                continue
            try:
                made[name] = tuple(rules.flows_of_member(vlan, address, found))
            except ValueError as error:
                log.error("a member's address makes no sense; it is left out", name=name, error=str(error))
                made[name] = ()
            new += 1
            if new % AT_ONCE == 0:
                await asyncio.sleep(0)
        self._of, self._met, self._flows = of, met, made
        return made
