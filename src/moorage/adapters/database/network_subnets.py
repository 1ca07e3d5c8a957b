"""Networks' and subnets' part of a transaction. Rows are locked in this order: networks, subnets, ports."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Network

from sqlalchemy import Select, bindparam, delete, or_, select
from sqlalchemy.orm import Session

from moorage.adapters.database.network_ports import Stored, Writing, check_revision, remove, stored, write, write_each
from moorage.adapters.database.network_quotas import require_room
from moorage.adapters.database.network_tables import AllocationRow, NetworkRow, SubnetRow, decoded, encoded
from moorage.domain.dhcp import dhcp_unneeded
from moorage.domain.errors import Conflict, NotFound
from moorage.domain.ids import NetworkId, ProjectId, SubnetId
from moorage.domain.ipam import check_no_overlap
from moorage.domain.network import Network, Subnet
from moorage.domain.port import Port, Provisioner
from moorage.seams.network_store import Changed, SubnetChanged

DHCP_OWNER = "network:dhcp"


def create_networks(session: Session, networks: Sequence[Network]) -> None:
    require_room(session, "network", [network.project_id for network in networks])
    for network in networks:
        session.add(
            NetworkRow(id=network.id, project=network.project_id, is_shared=network.shared, document=encoded(network))
        )


def networks(
    session: Session, seen_by: ProjectId | None, ids: Collection[NetworkId] | None = None
) -> Sequence[Network]:
    query = _networks(is_one_projects=seen_by is not None, by_id=ids is not None)
    found = session.scalars(query, {"project": seen_by, "ids": list(ids or ())})
    return [decoded(document, Network) for document in found]


@lru_cache
def _networks(*, is_one_projects: bool, by_id: bool) -> Select[bytes]:
    """Built once for each shape: to build one takes longer than to run it."""
    query = select(NetworkRow.document).order_by(NetworkRow.number)
    if is_one_projects:
        query = query.where(or_(NetworkRow.project == bindparam("project"), NetworkRow.is_shared))
    return query.where(NetworkRow.id.in_(bindparam("ids", expanding=True))) if by_id else query


def change_network(
    session: Session,
    now: datetime,
    network: NetworkId,
    change: Callable[[Network], Network],
    if_revision: int | None = None,
) -> Network:
    row = _network(session, network)
    before = decoded(row.document, Network)
    check_revision(before.revision_number, if_revision)
    after = change(before)
    if after == before:
        return before
    after = replace(after, revision_number=before.revision_number + 1, updated_at=now)
    row.is_shared = after.shared
    row.document = encoded(after)
    return after


def remove_network(writing: Writing, network: NetworkId, if_revision: int | None) -> Sequence[Port]:
    session = writing.session
    row = _network(session, network, is_going=True)
    check_revision(decoded(row.document, Network).revision_number, if_revision)
    ports = stored(session, is_locked=True, network=[network])
    users = [row.port.id for row in ports if row.port.device_owner != DHCP_OWNER]
    if users:
        raise Conflict(
            f"Unable to complete operation on network {network}. There are one or more ports still in use on the "
            f"network, id for these ports is: {', '.join(users[:20])}.",
            kind="NetworkInUse",
        )
    removed = [remove(writing, port) for port in ports]
    session.flush()
    session.execute(delete(SubnetRow).where(SubnetRow.network == network))
    session.delete(row)
    return removed


def create_subnets(session: Session, now: datetime, subnets: Sequence[Subnet]) -> None:
    require_room(session, "subnet", [subnet.project_id for subnet in subnets])
    session.execute(_LOCK_NETWORKS, {"ids": [subnet.network_id for subnet in subnets]})
    for subnet in subnets:
        check_no_overlap(IPv4Network(subnet.cidr), _subnets_of(session, subnet.network_id))
        change_network(session, now, subnet.network_id, _having(subnet.id))
        session.add(
            SubnetRow(id=subnet.id, project=subnet.project_id, network=subnet.network_id, document=encoded(subnet))
        )
        session.flush()


def subnets(
    session: Session,
    seen_by: ProjectId | None,
    ids: Collection[SubnetId] | None = None,
    of: Collection[NetworkId] | None = None,
) -> Sequence[Subnet]:
    query = _subnets(is_one_projects=seen_by is not None, by_id=ids is not None, by_network=of is not None)
    found = session.scalars(query, {"project": seen_by, "ids": list(ids or ()), "networks": list(of or ())})
    return [decoded(document, Subnet) for document in found]


@lru_cache
def _subnets(*, is_one_projects: bool, by_id: bool, by_network: bool) -> Select[bytes]:
    query = select(SubnetRow.document).order_by(SubnetRow.number)
    if is_one_projects:
        shared = select(NetworkRow.id).where(NetworkRow.is_shared)
        query = query.where(or_(SubnetRow.project == bindparam("project"), SubnetRow.network.in_(shared)))
    if by_id:
        query = query.where(SubnetRow.id.in_(bindparam("ids", expanding=True)))
    return query.where(SubnetRow.network.in_(bindparam("networks", expanding=True))) if by_network else query


def change_subnet(
    writing: Writing, subnet: SubnetId, change: Callable[[Subnet], Subnet], if_revision: int | None = None
) -> SubnetChanged:
    session, now = writing.session, writing.now
    session.execute(_LOCK_NETWORK_OF, {"of": subnet})
    row = _subnet(session, subnet)
    before = decoded(row.document, Subnet)
    check_revision(before.revision_number, if_revision)
    after = change(before)
    if after == before:
        return SubnetChanged(before, [])
    after = replace(after, revision_number=before.revision_number + 1, updated_at=now)
    row.document = encoded(after)
    _touch(session, now, before.network_id)
    has_lost_dhcp = before.enable_dhcp and not after.enable_dhcp
    return SubnetChanged(after, _awaiting_less(writing, before.network_id) if has_lost_dhcp else [])


def _awaiting_less(writing: Writing, network: NetworkId) -> Sequence[Changed]:
    """The ports that awaited a DHCP server of this network that none of its subnets gives them now."""
    served = {subnet.id for subnet in _subnets_of(writing.session, network) if subnet.enable_dhcp}
    rows = [
        row
        for row in stored(writing.session, is_locked=True, network=[network])
        if Provisioner.DHCP in row.port.awaiting
    ]
    done = write_each(writing, rows, lambda _: lambda port: dhcp_unneeded(port, served))
    return [one for one in done.values() if isinstance(one, Changed) and one.after is not one.before]


def remove_subnet(writing: Writing, subnet: SubnetId, if_revision: int | None) -> Sequence[Port]:
    session = writing.session
    session.execute(_LOCK_NETWORK_OF, {"of": subnet})
    row = _subnet(session, subnet, is_going=True)
    found = decoded(row.document, Subnet)
    check_revision(found.revision_number, if_revision)
    held = select(AllocationRow.port).where(AllocationRow.subnet == subnet)
    ports = stored(session, is_locked=True, id=session.scalars(held).all())
    if any(row.port.device_owner != DHCP_OWNER for row in ports):
        raise Conflict(
            f"Unable to complete operation on subnet {subnet}: One or more ports have an IP allocation from this "
            f"subnet.",
            kind="SubnetInUse",
        )
    gone = [_left(writing, port, subnet) for port in ports]
    session.flush()
    session.delete(row)
    change_network(session, writing.now, found.network_id, _lacking(subnet))
    return gone


def _left(writing: Writing, row: Stored, subnet: SubnetId) -> Port:
    """A DHCP server's port as it was; without addresses it goes."""
    kept = tuple(ip for ip in row.port.fixed_ips if ip.subnet_id != subnet)
    if not kept:
        return remove(writing, row)
    return write(writing, row, lambda port: replace(port, fixed_ips=kept)).before


def _having(subnet: SubnetId) -> Callable[[Network], Network]:
    return lambda network: replace(network, subnets=(*network.subnets, subnet))


def _lacking(subnet: SubnetId) -> Callable[[Network], Network]:
    return lambda network: replace(network, subnets=tuple(one for one in network.subnets if one != subnet))


def _touch(session: Session, now: datetime, network: NetworkId) -> None:
    """A network's revision counts its subnets' changes."""
    row = _network(session, network)
    before = decoded(row.document, Network)
    row.document = encoded(replace(before, revision_number=before.revision_number + 1, updated_at=now))


def _subnets_of(session: Session, network: NetworkId) -> Sequence[Subnet]:
    return subnets(session, None, of=[network])


def _network(session: Session, network: NetworkId, *, is_going: bool = False) -> NetworkRow:
    """The row, locked: against new ports too if it is to go."""
    query = select(NetworkRow).where(NetworkRow.id == network)
    row = session.scalar(query.with_for_update(key_share=not is_going))
    if row is None:
        raise NotFound(f"Network {network} could not be found.", kind="NetworkNotFound")
    return row


def _subnet(session: Session, subnet: SubnetId, *, is_going: bool = False) -> SubnetRow:
    query = select(SubnetRow).where(SubnetRow.id == subnet)
    row = session.scalar(query.with_for_update(key_share=not is_going))
    if row is None:
        raise NotFound(f"Subnet {subnet} could not be found.", kind="SubnetNotFound")
    return row


_LOCKED_NETWORKS = select(NetworkRow.number).order_by(NetworkRow.number).with_for_update(key_share=True)
_LOCK_NETWORKS = _LOCKED_NETWORKS.where(NetworkRow.id.in_(bindparam("ids", expanding=True)))
_LOCK_NETWORK_OF = _LOCKED_NETWORKS.where(
    NetworkRow.id.in_(select(SubnetRow.network).where(SubnetRow.id == bindparam("of")))
)
