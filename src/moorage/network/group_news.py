"""What agents are told of security groups: that some changed, and, when they ask, their rules and members."""

import hashlib
from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import msgspec
import structlog

from moorage.domain.errors import MoorageError, Unavailable
from moorage.domain.ids import HostName, NetworkId
from moorage.domain.port import Port
from moorage.domain.security_group import SecurityGroup, SecurityGroupRule, protocol_number
from moorage.seams.bus import Bus
from moorage.seams.network_store import NetworkStore
from moorage.wire.messages import GroupRuleSpec, Groups, GroupsChanged, GroupSpec, GroupsWanted

log = structlog.get_logger(__name__)


def groups_to_tell(before: Port | None, after: Port | None) -> frozenset[str]:
    """The groups that have other members by this change of a port."""
    gone, come = _memberships(before), _memberships(after)
    return frozenset(group for group, _ in gone ^ come)


def _memberships(port: Port | None) -> frozenset[tuple[str, str]]:
    if port is None:
        return frozenset()
    addresses = [ip.ip_address for ip in port.fixed_ips] + [pair["ip_address"] for pair in port.allowed_address_pairs]
    return frozenset((group, address) for group in port.security_groups for address in addresses)


@dataclass(frozen=True)
class GroupNews:
    """News is a hint: an agent's full look repairs what was lost."""

    store: NetworkStore
    bus: Bus

    async def hosts(self, groups: Collection[str]) -> AbstractSet[HostName]:
        """Those whose ports these groups concern; none when that cannot be read."""
        try:
            return await self.store.hosts_using(groups)
        except Unavailable as error:
            log.warning("whom groups concern cannot be read: agents' next full looks will tell", error=str(error))
            return frozenset()

    async def tell(self, groups: Collection[str], *, to: AbstractSet[HostName] | None = None) -> None:
        """Tell these hosts (None: those whose ports the groups concern) of groups that changed; a failure is logged."""
        if not groups:
            return
        message = GroupsChanged(groups=tuple(sorted(groups)))
        for host in sorted(await self.hosts(groups) if to is None else to):
            try:
                await self.bus.cast(f"agent.{host}", message)
            except MoorageError as error:
                log.warning("an agent could not be told: its next full look will tell", host=host, error=str(error))

    async def wanted(self, asked: GroupsWanted) -> Groups:
        """The groups that are asked for, and those that their rules name as remote."""
        own = await self.store.groups(None, ids=asked.groups)
        remotes = {rule.remote_group_id for group in own for rule in group.rules if rule.remote_group_id is not None}
        others = await self.store.groups(None, ids=remotes - {group.id for group in own})
        found = [*own, *others]
        members = await self.store.members(remotes)
        specs = [_spec(group, members.get(group.id, ())) for group in found]
        return Groups(
            ids=tuple([spec.id for spec in specs]),
            changed=tuple([spec for spec in specs if asked.known.get(spec.id) != spec.digest]),
        )


def _spec(group: SecurityGroup, members: Sequence[tuple[NetworkId, str]]) -> GroupSpec:
    rules = tuple([_rule(rule) for rule in group.rules])
    digest = hashlib.blake2b(msgspec.json.encode((rules, members)), digest_size=8).hexdigest()
    return GroupSpec(id=group.id, digest=digest, rules=rules, members=tuple(members))


def _rule(rule: SecurityGroupRule) -> GroupRuleSpec:
    return GroupRuleSpec(
        direction=rule.direction,
        ethertype=rule.ethertype,
        protocol=protocol_number(rule.protocol, rule.ethertype),
        first=rule.port_range_min,
        last=rule.port_range_max,
        remote_prefix=rule.remote_ip_prefix,
        remote_group=rule.remote_group_id,
    )
