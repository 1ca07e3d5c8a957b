"""Ports' part of a transaction: the one place that writes port rows, with their addresses, groups and news."""

from collections.abc import Callable, Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import IPv4Address

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from moorage.adapters.database import network_outbox as outbox
from moorage.adapters.database.network_tables import (
    AllocationRow,
    GroupRow,
    MembershipRow,
    NetworkRow,
    PortRow,
    SubnetRow,
    allow,
    decoded,
    encoded,
)
from moorage.domain.errors import Conflict, MoorageError, NotFound, Stale
from moorage.domain.ids import HostName, NetworkId, PortId, SubnetId
from moorage.domain.ipam import AddressWanted, choose
from moorage.domain.network import Subnet
from moorage.domain.news import news
from moorage.domain.port import FixedIp, Mark, Port, looks_same
from moorage.seams.network_store import Changed, NewPort


@dataclass
class Writing:
    """One transaction that writes ports: its time, what is in flight, and whether it made news."""

    session: Session
    now: datetime
    in_flight: Collection[int]
    has_news: bool = False


def port_of(row: PortRow) -> Port:
    port = decoded(row.document, Port)
    if row.mark_epoch is None or row.mark_sequence is None:
        return port
    mark = Mark(row.mark_epoch, row.mark_sequence)
    return port if port.last_mark == mark else replace(port, last_mark=mark)


def row_of(session: Session, port: PortId) -> PortRow:
    row = session.scalar(select(PortRow).where(PortRow.id == port))
    if row is None:
        raise NotFound(f"Port {port} could not be found.", kind="PortNotFound")
    return row


def check_revision(found: int, expected: int | None) -> None:
    """Raises Stale."""
    if expected is not None and found != expected:
        raise Stale(f"Constrained to revision {expected}, but current revision is {found}.")


def write(
    writing: Writing,
    row: PortRow,
    change: Callable[[Port], Port],
    *,
    if_revision: int | None = None,
    addresses: Sequence[AddressWanted] | None = None,
) -> Changed:
    """Change one port: row, addresses, groups, and what compute must be told of it."""
    session = writing.session
    before = port_of(row)
    check_revision(before.revision_number, if_revision)
    after = before
    if addresses is not None:
        after = replace(before, fixed_ips=_chosen(session, before.network_id, addresses, other_than=before.id))
    after = change(after)
    if after == before:
        return Changed(before, before)
    if not looks_same(before, after):
        after = replace(after, revision_number=before.revision_number + 1, updated_at=writing.now)
    allow(session, row)
    _fill(row, after)
    if after.mac_address != before.mac_address:
        _check_mac(session, after)
    if after.fixed_ips != before.fixed_ips:
        session.execute(delete(AllocationRow).where(AllocationRow.port == after.id))
        _hold(session, after)
    if after.security_groups != before.security_groups:
        session.execute(delete(MembershipRow).where(MembershipRow.port == after.id))
        _join(session, after)
    _append(writing, before, after)
    return Changed(before, after)


def write_each(
    writing: Writing, rows: Sequence[PortRow], rule: Callable[[PortId], Callable[[Port], Port]]
) -> dict[PortId, Changed | MoorageError]:
    """Change many. Those of which only the last mark moves share a statement for each mark."""
    done: dict[PortId, Changed | MoorageError] = {}
    moved: dict[Mark, list[int]] = {}
    for row in rows:
        port = PortId(row.id)
        change = rule(port)
        try:
            before = port_of(row)
            after = change(before)
            if after != before and after.last_mark and replace(after, last_mark=before.last_mark) == before:
                moved.setdefault(after.last_mark, []).append(row.number)
                done[port] = Changed(before, after)
            else:
                done[port] = write(writing, row, change)
        except MoorageError as error:
            done[port] = error
    for mark, numbers in moved.items():
        marked = update(PortRow).where(PortRow.number.in_(numbers))
        writing.session.execute(
            marked.values(mark_epoch=mark.epoch, mark_sequence=mark.sequence),
            execution_options={"synchronize_session": False},
        )
    return done


def create(writing: Writing, new: NewPort) -> Port:
    session = writing.session
    port = new.port
    if session.scalar(select(NetworkRow.number).where(NetworkRow.id == port.network_id)) is None:
        raise NotFound(f"Network {port.network_id} could not be found.", kind="NetworkNotFound")
    if session.scalar(select(PortRow.number).where(PortRow.id == port.id)) is not None:
        raise Conflict(f"Port {port.id} already exists.", kind="PortExists")
    _check_mac(session, port)
    port = new.then(replace(port, fixed_ips=_chosen(session, port.network_id, new.addresses, other_than=port.id)))
    row = PortRow(id=port.id, network=port.network_id)
    allow(session, row)
    _fill(row, port)
    session.add(row)
    session.flush()
    _hold(session, port)
    _join(session, port)
    _append(writing, None, port)
    return port


def remove(writing: Writing, row: PortRow, *, if_revision: int | None = None) -> Port:
    session = writing.session
    port = port_of(row)
    check_revision(port.revision_number, if_revision)
    session.execute(delete(AllocationRow).where(AllocationRow.port == port.id))
    session.execute(delete(MembershipRow).where(MembershipRow.port == port.id))
    allow(session, row)
    session.delete(row)
    _append(writing, port, None)
    return port


def hosts_of(session: Session, network: NetworkId) -> AbstractSet[HostName]:
    hosts = select(PortRow.host).where(PortRow.network == network, PortRow.host.is_not(None)).distinct()
    return {HostName(host) for host in session.scalars(hosts) if host is not None}


def _append(writing: Writing, before: Port | None, after: Port | None) -> None:
    of = after or before
    generation = of.binding.generation if of else None
    events = news(before, after)
    if outbox.append(writing.session, events, generation, writing.now, writing.in_flight):
        writing.has_news = True


def _fill(row: PortRow, port: Port) -> None:
    row.project = port.project_id
    row.device = port.device_id
    row.owner = port.device_owner
    row.host = port.binding.host
    row.status = port.status
    row.mac = port.mac_address
    row.mark_epoch = port.last_mark.epoch if port.last_mark else None
    row.mark_sequence = port.last_mark.sequence if port.last_mark else None
    row.document = encoded(port)


def _check_mac(session: Session, port: Port) -> None:
    same = select(PortRow.id).where(PortRow.network == port.network_id, PortRow.mac == port.mac_address)
    if session.scalar(same.where(PortRow.id != port.id)) is not None:
        raise Conflict(
            f"Unable to complete operation for network {port.network_id}. The mac address {port.mac_address} is in "
            f"use.",
            kind="MacAddressInUse",
        )


def _chosen(
    session: Session, network: NetworkId, wanted: Sequence[AddressWanted] | None, *, other_than: PortId
) -> tuple[FixedIp, ...]:
    if wanted is not None and not wanted:
        return ()
    rows = session.scalars(select(SubnetRow).where(SubnetRow.network == network).order_by(SubnetRow.number))
    subnets = [decoded(row.document, Subnet) for row in rows]
    held = select(AllocationRow.subnet, AllocationRow.address).where(
        AllocationRow.subnet.in_([subnet.id for subnet in subnets]), AllocationRow.port != other_than
    )
    taken: dict[SubnetId, set[IPv4Address]] = {}
    for subnet, address in session.execute(held):
        taken.setdefault(SubnetId(subnet), set()).add(IPv4Address(address))
    return choose(wanted, network, subnets, taken)


def _hold(session: Session, port: Port) -> None:
    for ip in port.fixed_ips:
        session.add(AllocationRow(subnet=ip.subnet_id, address=ip.ip_address, port=port.id))


def _join(session: Session, port: Port) -> None:
    for group in dict.fromkeys(port.security_groups):
        if session.scalar(select(GroupRow.number).where(GroupRow.id == group)) is None:
            raise NotFound(f"Security group {group} does not exist", kind="SecurityGroupNotFound")
        session.add(MembershipRow(port=port.id, group=group))
