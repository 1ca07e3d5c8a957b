"""Security groups' part of a transaction. A group's row holds no rules: each has a row of its own."""

from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime

import msgspec
from sqlalchemy import bindparam, delete, or_, select
from sqlalchemy.orm import Session

from moorage.adapters.database.network_ports import check_revision
from moorage.adapters.database.network_quotas import require_room
from moorage.adapters.database.network_tables import GroupRow, MembershipRow, PortRow, RuleRow, decoded, encoded
from moorage.domain.errors import Conflict, NotFound
from moorage.domain.ids import HostName, NetworkId, ProjectId
from moorage.domain.security_group import DEFAULT, SecurityGroup, SecurityGroupRule


def create(session: Session, group: SecurityGroup) -> SecurityGroup:
    default_of = group.project_id if group.name == DEFAULT else None
    if default_of is not None and default(session, default_of) is not None:
        raise Conflict("Default security group already exists.", kind="SecurityGroupDefaultAlreadyExists")
    if default_of is None:  # which each project has, whatever it may have
        require_room(session, "security_group", [group.project_id])
        require_room(session, "security_group_rule", [group.project_id] * len(group.rules))
    document = encoded(replace(group, rules=()))
    session.add(GroupRow(id=group.id, project=group.project_id, default_of=default_of, document=document))
    session.flush()
    for rule in group.rules:
        _add(session, rule)
    return group


def default(session: Session, project: ProjectId) -> SecurityGroup | None:
    row = session.scalar(_DEFAULT, {"project": project})
    return None if row is None else _with_rules(session, [row])[0]


def groups(session: Session, seen_by: ProjectId | None, ids: Collection[str] | None = None) -> Sequence[SecurityGroup]:
    query = select(GroupRow).order_by(GroupRow.number)
    if seen_by is not None:
        query = query.where(GroupRow.project == seen_by)
    if ids is not None:
        query = query.where(GroupRow.id.in_(ids))
    return _with_rules(session, session.scalars(query).all())


def change(
    session: Session,
    now: datetime,
    group: str,
    rule: Callable[[SecurityGroup], SecurityGroup],
    if_revision: int | None,
) -> SecurityGroup:
    row = _row(session, group)
    before = _with_rules(session, [row])[0]
    check_revision(before.revision_number, if_revision)
    after = rule(before)
    if after == before:
        return before
    after = replace(after, revision_number=before.revision_number + 1, updated_at=now)
    row.document = encoded(replace(after, rules=()))
    return after


def remove(session: Session, group: str, if_revision: int | None) -> None:
    row = _row(session, group, is_going=True)
    check_revision(decoded(row.document, SecurityGroup).revision_number, if_revision)
    if session.scalar(select(MembershipRow.port).where(MembershipRow.group == group).limit(1)) is not None:
        raise Conflict(f"Security Group {group} in use.", kind="SecurityGroupInUse")
    session.execute(delete(RuleRow).where(or_(RuleRow.group == group, RuleRow.remote == group)))
    session.delete(row)


def create_rules(session: Session, now: datetime, rules: Sequence[SecurityGroupRule]) -> None:
    require_room(session, "security_group_rule", [rule.project_id for rule in rules])
    session.execute(_LOCK, {"groups": [rule.group_id for rule in rules]})
    for rule in rules:
        row = _row(session, rule.group_id)
        if rule.remote_group_id is not None and session.scalar(_NUMBER, {"group": rule.remote_group_id}) is None:
            raise _unknown(rule.remote_group_id)
        for other in _with_rules(session, [row])[0].rules:
            if _means(other) == _means(rule):
                raise Conflict(
                    f"Security group rule already exists. Rule id is {other.id}.", kind="SecurityGroupRuleExists"
                )
        _add(session, rule)
        _bump(row, now)
        session.flush()


def remove_rule(session: Session, now: datetime, rule: str) -> None:
    session.execute(_LOCK_OF_RULE, {"of": rule})
    row = session.scalar(select(RuleRow).where(RuleRow.id == rule))
    if row is None:
        raise NotFound(f"Security group rule {rule} does not exist", kind="SecurityGroupRuleNotFound")
    _bump(_row(session, row.group), now)
    session.delete(row)


def members(session: Session, groups: Collection[str]) -> Mapping[str, Sequence[tuple[NetworkId, str]]]:
    found: dict[str, set[tuple[NetworkId, str]]] = {}
    for group, document in session.execute(_MEMBERS, {"groups": list(groups)}) if groups else ():
        port = decoded(document, _Member)
        addresses = [ip["ip_address"] for ip in port.fixed_ips] + [p["ip_address"] for p in port.allowed_address_pairs]
        found.setdefault(group, set()).update((NetworkId(port.network_id), address) for address in addresses)
    return {group: sorted(of) for group, of in found.items()}


def hosts_using(session: Session, groups: Collection[str]) -> AbstractSet[HostName]:
    hosts = session.scalars(_HOSTS, {"groups": list(groups)}) if groups else ()
    return {HostName(host) for host in hosts if host is not None}


class _Member(msgspec.Struct):
    """What of a port's document makes it a member: to read no more takes a tenth of the time."""

    network_id: str
    fixed_ips: list[dict[str, str]]
    allowed_address_pairs: list[dict[str, str]]


def _row(session: Session, group: str, *, is_going: bool = False) -> GroupRow:
    """The row, locked: against new members too if it is to go."""
    row = session.scalar(select(GroupRow).where(GroupRow.id == group).with_for_update(key_share=not is_going))
    if row is None:
        raise _unknown(group)
    return row


def _unknown(group: str) -> NotFound:
    return NotFound(f"Security group {group} does not exist", kind="SecurityGroupNotFound")


def _bump(row: GroupRow, now: datetime) -> None:
    group = decoded(row.document, SecurityGroup)
    row.document = encoded(replace(group, revision_number=group.revision_number + 1, updated_at=now))


def _add(session: Session, rule: SecurityGroupRule) -> None:
    session.add(RuleRow(id=rule.id, group=rule.group_id, remote=rule.remote_group_id, document=encoded(rule)))


def _with_rules(session: Session, rows: Sequence[GroupRow]) -> list[SecurityGroup]:
    rules: dict[str, list[SecurityGroupRule]] = {row.id: [] for row in rows}
    for group, document in session.execute(_RULES, {"groups": list(rules)}):
        rules[group].append(decoded(document, SecurityGroupRule))
    return [replace(decoded(row.document, SecurityGroup), rules=tuple(rules[row.id])) for row in rows]


def _means(rule: SecurityGroupRule) -> SecurityGroupRule:
    """The rule less what makes no difference to traffic."""
    return replace(rule, id="", created_at=datetime.min, description="", revision_number=0)  # noqa: DTZ901 (no time)


# Statements that are run for each port are made once: to make one takes longer than to run it.
_DEFAULT = select(GroupRow).where(GroupRow.default_of == bindparam("project"))
_MEMBERS = (
    select(MembershipRow.group, PortRow.document)
    .join(PortRow, PortRow.id == MembershipRow.port)
    .where(MembershipRow.group.in_(bindparam("groups", expanding=True)))
)
_NAMING = select(RuleRow.group).where(RuleRow.remote.in_(bindparam("groups", expanding=True)))
_HOSTS = (
    select(PortRow.host)
    .join(MembershipRow, MembershipRow.port == PortRow.id)
    .where(
        or_(
            MembershipRow.group.in_(bindparam("groups", expanding=True)),
            MembershipRow.group.in_(_NAMING),
        )
    )
    .distinct()
)
_RULES = (
    select(RuleRow.group, RuleRow.document)
    .where(RuleRow.group.in_(bindparam("groups", expanding=True)))
    .order_by(RuleRow.number)
)
_NUMBER = select(GroupRow.number).where(GroupRow.id == bindparam("group"))
# Groups are locked in their order, before their rules.
_LOCKED = select(GroupRow.number).order_by(GroupRow.number).with_for_update(key_share=True)
_LOCK = _LOCKED.where(GroupRow.id.in_(bindparam("groups", expanding=True)))
_LOCK_OF_RULE = _LOCKED.where(GroupRow.id.in_(select(RuleRow.group).where(RuleRow.id == bindparam("of"))))
