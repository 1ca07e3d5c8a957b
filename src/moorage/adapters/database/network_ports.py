"""Ports' part of a transaction: the one place that writes port rows, with their addresses, groups and news."""

from collections.abc import Callable, Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Any, cast

from sqlalchemy import Select, Table, bindparam, delete, insert, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from moorage.adapters.database import network_outbox as outbox
from moorage.adapters.database.network_quotas import require_room
from moorage.adapters.database.network_tables import (
    AllocationRow,
    GroupRow,
    MembershipRow,
    NetworkRow,
    PortRow,
    SubnetRow,
    decoded,
    encoded,
)
from moorage.domain.errors import Conflict, MoorageError, NotFound, Stale
from moorage.domain.ids import HostName, NetworkId, PortId, SubnetId
from moorage.domain.ipam import AddressWanted, choose, keeping
from moorage.domain.network import Subnet
from moorage.domain.news import news
from moorage.domain.port import FixedIp, Mark, Port, PortStatus, looks_same
from moorage.seams.network_store import Changed, NewPort


@dataclass
class Writing:
    """One transaction that writes ports: its time, and whether it made news."""

    session: Session
    now: datetime
    has_news: bool = False


@dataclass(frozen=True)
class Stored:
    """A port as it stands in its row."""

    number: int
    port: Port


@lru_cache
def _query(names: frozenset[str], *, is_locked: bool) -> Select[int, bytes, int | None, int | None]:
    """Ports by these conditions, oldest first; built once, since building costs more than running."""
    query = select(PortRow.number, PortRow.document, PortRow.mark_epoch, PortRow.mark_sequence)
    for name in names:
        column: InstrumentedAttribute[Any] = getattr(PortRow, name)
        query = query.where(column.in_(bindparam(f"{name}s", expanding=True)))
    query = query.order_by(PortRow.number)
    return query.with_for_update() if is_locked else query


def stored(session: Session, *, is_locked: bool, **conditions: Collection[str] | None) -> list[Stored]:
    """The ports whose columns have one of the values given for each; None is no condition.

    `is_locked` keeps them as they are for the transaction: for whoever will write them.
    """
    given = {name: list(values) for name, values in conditions.items() if values is not None}
    query = _query(frozenset(given), is_locked=is_locked)
    rows = session.execute(query, {f"{name}s": values for name, values in given.items()})
    return [Stored(number, _port(document, epoch, sequence)) for number, document, epoch, sequence in rows]


def _port(document: bytes, epoch: int | None, sequence: int | None) -> Port:
    port = decoded(document, Port)
    if epoch is None or sequence is None:
        return port
    mark = Mark(epoch, sequence)
    return port if port.last_mark == mark else replace(port, last_mark=mark)


def one(session: Session, port: PortId) -> Stored:
    """The port, to be written."""
    found = stored(session, is_locked=True, id=[port])
    if not found:
        raise NotFound(f"Port {port} could not be found.", kind="PortNotFound")
    return found[0]


def check_revision(found: int, expected: int | None) -> None:
    """Raises Stale."""
    if expected is not None and found != expected:
        raise Stale(f"Constrained to revision {expected}, but current revision is {found}.")


def write(
    writing: Writing,
    row: Stored,
    change: Callable[[Port], Port],
    *,
    if_revision: int | None = None,
    addresses: Sequence[AddressWanted] | None = None,
) -> Changed:
    """Change one port: row, addresses, groups, and what compute must be told of it."""
    before = row.port
    check_revision(before.revision_number, if_revision)
    after = before
    if addresses is not None:
        wanted = keeping(addresses, before.fixed_ips)
        chosen = _chosen(writing.session, before.network_id, wanted, other_than=before.id)
        after = replace(before, fixed_ips=chosen)
    return _put(writing, row, change(after))


def _put(writing: Writing, row: Stored, after: Port) -> Changed:
    session, before = writing.session, row.port
    if after == before:
        return Changed(before, before)
    if not looks_same(before, after):
        after = replace(after, revision_number=before.revision_number + 1, updated_at=writing.now)
    if after.mac_address != before.mac_address:
        _check_mac(session, after)
    session.execute(_UPDATE, {"of": row.number, **_columns(after)})
    if after.fixed_ips != before.fixed_ips:
        session.execute(_FREE, {"of": after.id})
        _hold(session, after)
    if after.security_groups != before.security_groups:
        session.execute(_LEAVE, {"of": after.id})
        _join(session, after)
    _append(writing, before, after)
    return Changed(before, after)


def write_each(
    writing: Writing, rows: Sequence[Stored], rule: Callable[[PortId], Callable[[Port], Port]]
) -> dict[PortId, Changed | MoorageError]:
    """Change many. Those of which only the last mark moves share a statement for each mark."""
    done: dict[PortId, Changed | MoorageError] = {}
    moved: dict[Mark, list[int]] = {}
    for row in rows:
        before = row.port
        try:
            after = rule(before.id)(before)
            if after is not before and after.last_mark and replace(after, last_mark=before.last_mark) == before:
                moved.setdefault(after.last_mark, []).append(row.number)
                done[before.id] = Changed(before, after)
            else:
                done[before.id] = _put(writing, row, after)
        except MoorageError as error:
            done[before.id] = error
    for mark, numbers in moved.items():
        writing.session.execute(_MARK, {"epoch": mark.epoch, "sequence": mark.sequence, "numbers": numbers})
    return done


def lock_subnets_of(session: Session, port: PortId) -> None:
    """Before the port, if its addresses are to change: as whoever changes a subnet locks it before its ports."""
    session.execute(_SUBNETS_OF_PORT, {"of": port})


def create_all(writing: Writing, ports: Sequence[NewPort]) -> list[Port]:
    # the network's own ports are nobody's wish
    own = [new.port.project_id for new in ports if not new.port.device_owner.startswith("network:")]
    require_room(writing.session, "port", own)
    networks = {new.port.network_id for new in ports}
    if len(networks) > 1:  # all at once, in their order: each by itself might wait for one that waits for us
        writing.session.execute(_SUBNETS_OF_MANY, {"networks": list(networks)})
    return [create(writing, new) for new in ports]


def create(writing: Writing, new: NewPort) -> Port:
    session, port = writing.session, new.port
    if session.scalar(_NETWORK, {"of": port.network_id}) is None:
        raise NotFound(f"Network {port.network_id} could not be found.", kind="NetworkNotFound")
    if stored(session, is_locked=False, id=[port.id]):
        raise Conflict(f"Port {port.id} already exists.", kind="PortExists")
    _check_mac(session, port)
    port = new.then(replace(port, fixed_ips=_chosen(session, port.network_id, new.addresses, other_than=port.id)))
    session.execute(_INSERT, {"id": port.id, "network": port.network_id, **_columns(port)})
    _hold(session, port)
    _join(session, port)
    _append(writing, None, port)
    return port


def remove(writing: Writing, row: Stored, *, if_revision: int | None = None) -> Port:
    session, port = writing.session, row.port
    check_revision(port.revision_number, if_revision)
    session.execute(_FREE, {"of": port.id})
    session.execute(_LEAVE, {"of": port.id})
    session.execute(_DELETE, {"of": row.number})
    _append(writing, port, None)
    return port


def hosts_of(session: Session, network: NetworkId) -> AbstractSet[HostName]:
    hosts = select(PortRow.host).where(PortRow.network == network, PortRow.host.is_not(None)).distinct()
    return {HostName(host) for host in session.scalars(hosts) if host is not None}


def bound_to(session: Session, host: HostName, statuses: Collection[PortStatus]) -> Sequence[PortId]:
    found = session.scalars(_BOUND, {"of": host, "statuses": [status.value for status in statuses]})
    return [PortId(port) for port in found]


def _append(writing: Writing, before: Port | None, after: Port | None) -> None:
    of = after or before
    generation = of.binding.generation if of else None
    events = news(before, after)
    if outbox.append(writing.session, events, generation, writing.now):
        writing.has_news = True


def _columns(port: Port) -> dict[str, Any]:
    mark = port.last_mark
    return {
        "project": port.project_id,
        "device": port.device_id,
        "owner": port.device_owner,
        "host": port.binding.host,
        "status": port.status.value,
        "mac": port.mac_address,
        "mark_epoch": None if mark is None else mark.epoch,
        "mark_sequence": None if mark is None else mark.sequence,
        "document": encoded(port),
    }


def _check_mac(session: Session, port: Port) -> None:
    same = {"network": port.network_id, "mac": port.mac_address, "of": port.id}
    if session.scalar(_SAME_MAC, same) is not None:
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
    documents = session.scalars(_SUBNETS, {"of": network})
    subnets = [decoded(document, Subnet) for document in documents]
    taken: dict[SubnetId, set[IPv4Address]] = {}
    for subnet, address in session.execute(_TAKEN, {"subnets": [one.id for one in subnets], "of": other_than}):
        taken.setdefault(SubnetId(subnet), set()).add(IPv4Address(address))
    return choose(wanted, network, subnets, taken)


def _hold(session: Session, port: Port) -> None:
    held = [
        {"subnet": ip.subnet_id, "address": int(IPv4Address(ip.ip_address)), "port": port.id} for ip in port.fixed_ips
    ]
    if held:
        session.execute(_HOLD, held)


def _join(session: Session, port: Port) -> None:
    for group in dict.fromkeys(port.security_groups):
        if session.scalar(_GROUP, {"of": group}) is None:
            raise NotFound(f"Security group {group} does not exist", kind="SecurityGroupNotFound")
        session.execute(_JOIN, {"port": port.id, "group_id": group})


# Statements are made once: to make one takes longer than to run it.
_PORTS = cast(Table, PortRow.__table__)
_ALLOCATIONS = cast(Table, AllocationRow.__table__)
_MEMBERSHIPS = cast(Table, MembershipRow.__table__)
_BOUND = (
    select(PortRow.id)
    .where(PortRow.host == bindparam("of"), PortRow.status.in_(bindparam("statuses", expanding=True)))
    .order_by(PortRow.number)
)
_UPDATE = update(_PORTS).where(_PORTS.c.number == bindparam("of"))
_MARK = (
    update(_PORTS)
    .where(_PORTS.c.number.in_(bindparam("numbers", expanding=True)))
    .values(mark_epoch=bindparam("epoch"), mark_sequence=bindparam("sequence"))
)
_INSERT = insert(_PORTS)
_DELETE = delete(_PORTS).where(_PORTS.c.number == bindparam("of"))
_FREE = delete(_ALLOCATIONS).where(_ALLOCATIONS.c.port == bindparam("of"))
_HOLD = insert(_ALLOCATIONS)
_LEAVE = delete(_MEMBERSHIPS).where(_MEMBERSHIPS.c.port == bindparam("of"))
_JOIN = insert(_MEMBERSHIPS)
_NETWORK = select(NetworkRow.number).where(NetworkRow.id == bindparam("of")).with_for_update(read=True, key_share=True)
_GROUP = select(GroupRow.number).where(GroupRow.id == bindparam("of"))
# Locked: whoever chooses an address of a subnet chooses alone.
_LOCKED_SUBNETS = select(SubnetRow.document).order_by(SubnetRow.number).with_for_update(key_share=True)
_SUBNETS = _LOCKED_SUBNETS.where(SubnetRow.network == bindparam("of"))
_SUBNETS_OF_MANY = _LOCKED_SUBNETS.where(SubnetRow.network.in_(bindparam("networks", expanding=True)))
_SUBNETS_OF_PORT = _LOCKED_SUBNETS.where(
    SubnetRow.network.in_(select(PortRow.network).where(PortRow.id == bindparam("of")))
)
_SAME_MAC = select(PortRow.number).where(
    PortRow.network == bindparam("network"), PortRow.mac == bindparam("mac"), PortRow.id != bindparam("of")
)
_TAKEN = select(AllocationRow.subnet, AllocationRow.address).where(
    AllocationRow.subnet.in_(bindparam("subnets", expanding=True)), AllocationRow.port != bindparam("of")
)
