"""The part that limits of projects have in a transaction: set, and held to by whoever makes something."""

from collections import Counter
from collections.abc import Iterable, Mapping

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.orm import Session

from moorage.adapters.database.locks import hold
from moorage.adapters.database.network_tables import GroupRow, NetworkRow, PortRow, QuotaRow, RuleRow, SubnetRow
from moorage.domain.errors import Exhausted

_LIMIT = select(QuotaRow.value).where(QuotaRow.project == bindparam("of"), QuotaRow.name == bindparam("name"))
_USED = {
    "network": select(func.count(NetworkRow.number)).where(NetworkRow.project == bindparam("of")),
    "subnet": select(func.count(SubnetRow.number)).where(SubnetRow.project == bindparam("of")),
    "port": select(func.count(PortRow.number)).where(PortRow.project == bindparam("of")),
    "security_group": select(func.count(GroupRow.number)).where(GroupRow.project == bindparam("of")),
    "security_group_rule": select(func.count(RuleRow.number))
    .join(GroupRow, GroupRow.id == RuleRow.group)
    .where(GroupRow.project == bindparam("of")),
}


def require_room(session: Session, name: str, owners: Iterable[str]) -> None:
    """One thing more for each of these owners. Raises Exhausted when a project would have more than it may."""
    for project, more in sorted(Counter(owners).items()):
        limit = session.scalar(_LIMIT, {"of": project, "name": name})
        if limit is None or limit < 0:
            continue
        hold(session, f"{name} quota of {project}")
        if (session.scalar(_USED[name], {"of": project}) or 0) + more > limit:
            raise Exhausted(f"Quota exceeded for resources: ['{name}'].", kind="OverQuota")


def quotas(session: Session) -> Mapping[str, Mapping[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for row in session.scalars(select(QuotaRow).order_by(QuotaRow.project)):
        found.setdefault(row.project, {})[row.name] = row.value
    return found


def quotas_of(session: Session, project: str) -> Mapping[str, int]:
    return {row.name: row.value for row in session.scalars(select(QuotaRow).where(QuotaRow.project == project))}


def change(session: Session, project: str, limits: Mapping[str, int]) -> None:
    for name, value in sorted(limits.items()):
        session.merge(QuotaRow(project=project, name=name, value=value))


def clear(session: Session, project: str) -> None:
    session.execute(delete(QuotaRow).where(QuotaRow.project == project))
