"""Hosts' part of a transaction: what they say of themselves, and what their servers claim."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import Table, func, select
from sqlalchemy.orm import Session
from sqlalchemy.sql import insert, update

from moorage.adapters.database.compute_tables import HostRow, ServerRow, touched
from moorage.adapters.database.times import micros, moment
from moorage.domain.errors import NotFound
from moorage.domain.ids import HostName
from moorage.domain.scheduling import HostState
from moorage.seams.server_store import ComputeHost, Heartbeat


def heard(session: Session, heartbeat: Heartbeat, uuid: str, now: datetime) -> None:
    said = {
        "heard_at": micros(now),
        "started_at": micros(heartbeat.started_at),
        "vcpus": heartbeat.vcpus,
        "memory_mib": heartbeat.memory_mib,
        "disk_gib": heartbeat.disk_gib,
        "hypervisor_type": heartbeat.hypervisor_type,
    }
    if not touched(session.execute(update(HostRow).where(HostRow.name == heartbeat.host).values(said))):
        session.execute(insert(HostRow).values(name=heartbeat.host, uuid=uuid, **said))


def hosts(session: Session) -> Sequence[ComputeHost]:
    """Every host with what its servers claim, as of this transaction."""
    claims = {row[0]: row[1:] for row in session.execute(_CLAIMS)}
    found = []
    for row in session.execute(_ALL_HOSTS):
        servers, vcpus, memory_mib, disk_gib = claims.get(row.name, (0, 0, 0, 0))
        state = HostState(
            name=HostName(row.name),
            heard_at=moment(row.heard_at),
            vcpus=row.vcpus,
            memory_mib=row.memory_mib,
            disk_gib=row.disk_gib,
            used_vcpus=vcpus,
            used_memory_mib=memory_mib,
            used_disk_gib=disk_gib,
            is_enabled=row.is_enabled,
        )
        found.append(
            ComputeHost(
                number=row.number,
                uuid=row.uuid,
                state=state,
                hypervisor_type=row.hypervisor_type,
                started_at=moment(row.started_at),
                servers=servers,
                disabled_reason=row.disabled_reason,
            )
        )
    return found


def set_enabled(session: Session, uuid: str, *, is_enabled: bool, reason: str | None) -> None:
    setting = update(HostRow).where(HostRow.uuid == uuid).values(is_enabled=is_enabled, disabled_reason=reason)
    if not touched(session.execute(setting)):
        raise NotFound(f"Service {uuid} could not be found.")


_SERVERS, _HOSTS = cast(Table, ServerRow.__table__), cast(Table, HostRow.__table__)
_CLAIMS = (
    select(
        _SERVERS.c.host,
        func.count(),
        func.sum(_SERVERS.c.vcpus),
        func.sum(_SERVERS.c.memory_mib),
        func.sum(_SERVERS.c.disk_gib),
    )
    .where(_SERVERS.c.is_deleted.is_(False), _SERVERS.c.host.is_not(None))
    .group_by(_SERVERS.c.host)
)
_ALL_HOSTS = select(_HOSTS).order_by(_HOSTS.c.number)
