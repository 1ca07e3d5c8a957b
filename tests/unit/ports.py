"""Ports to try the rules on."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from moorage.domain.ids import Generation, HostName, NetworkId, PortId, ProjectId
from moorage.domain.port import Mark, Port, Report, rebound
from moorage.domain.segments import Segment

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SERVER = "abcdef12-2222-3333-4444-55555555abcd"
HOST = HostName("h1")


def new_port(**fields: Any) -> Port:
    """An unbound port of a server."""
    port = Port(
        id=PortId("p1"),
        network_id=NetworkId("n1"),
        project_id=ProjectId("d" * 32),
        mac_address="fa:16:3e:00:00:01",
        created_at=NOW,
        updated_at=NOW,
        device_id=SERVER,
        device_owner="compute:nova",
    )
    return replace(port, **fields)


def bind(
    port: Port,
    host: HostName | None = HOST,
    *,
    generation: str | None = "g1",
    is_reachable: bool = True,
    needs_dhcp: bool = False,
    now: datetime = NOW,
) -> Port:
    return rebound(
        port,
        host,
        {} if generation is None else {"plug_generation": generation},
        vnic_type="normal",
        is_reachable=is_reachable,
        segment=Segment(id="s1"),
        needs_dhcp=needs_dhcp,
        now=now,
    )


def report(sequence: int = 1, *, generation: str | None = "g1", host: HostName = HOST, epoch: int = 1) -> Report:
    return Report(
        host=host,
        generation=None if generation is None else Generation(generation),
        mark=Mark(epoch, sequence),
    )
