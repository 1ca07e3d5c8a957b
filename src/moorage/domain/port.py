"""A network port and its life: DOWN, BUILD, ACTIVE, ERROR (hops bound, seen, wired, ready)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from moorage.domain.errors import Conflict
from moorage.domain.ids import Generation, HostName, NetworkId, PortId, ProjectId, SubnetId
from moorage.domain.segments import BindingLevel, Segment


class PortStatus(StrEnum):
    DOWN = "DOWN"
    BUILD = "BUILD"
    ACTIVE = "ACTIVE"
    ERROR = "ERROR"


class PortEvent(StrEnum):
    """What can happen to a port's status."""

    REBOUND = "rebound"
    DETAILS_ASKED = "details asked"
    PROVISIONED = "provisioned"
    WENT_AWAY = "went away"
    BROKE = "broke"


_S, _E = PortStatus, PortEvent
NEXT: Mapping[tuple[PortStatus, PortEvent], PortStatus] = {
    **{(status, _E.REBOUND): _S.DOWN for status in _S},
    **{(status, _E.WENT_AWAY): _S.DOWN for status in _S},
    (_S.DOWN, _E.DETAILS_ASKED): _S.BUILD,
    (_S.BUILD, _E.DETAILS_ASKED): _S.BUILD,  # asked twice: the first answer was lost
    (_S.ACTIVE, _E.DETAILS_ASKED): _S.ACTIVE,  # rewired: stays ACTIVE while it is verified again
    (_S.DOWN, _E.PROVISIONED): _S.ACTIVE,
    (_S.BUILD, _E.PROVISIONED): _S.ACTIVE,
    (_S.ACTIVE, _E.PROVISIONED): _S.ACTIVE,  # told twice
    (_S.ERROR, _E.PROVISIONED): _S.ACTIVE,
    (_S.ERROR, _E.DETAILS_ASKED): _S.BUILD,
    (_S.DOWN, _E.BROKE): _S.ERROR,
    (_S.BUILD, _E.BROKE): _S.ERROR,
    (_S.ACTIVE, _E.BROKE): _S.ERROR,
    (_S.ERROR, _E.BROKE): _S.ERROR,
}


class Provisioner(StrEnum):
    """Who must report before a port is ACTIVE."""

    L2 = "L2"
    DHCP = "DHCP"


class VifType(StrEnum):
    UNBOUND = "unbound"
    BINDING_FAILED = "binding_failed"
    OVS = "ovs"


GENERATION_KEY = "plug_generation"  # in binding:profile
MADE_KEY = "made_by_compute"  # in binding:profile: true on ports that compute made for a server, and deletes with it
ATTEMPT_KEY = "attempt"  # in binding:profile: of the server; an older attempt touches nothing of a newer one's
NIC_KEY = "nic"  # in binding:profile: the NIC's number, by which a re-run adopts the ports it made


@dataclass(frozen=True)
class Binding:
    """Where a port is bound and how. `bound_at` is the network's clock, compared with a full look's start only."""

    host: HostName | None = None
    vnic_type: str = "normal"
    profile: Mapping[str, Any] = field(default_factory=dict)
    vif_type: VifType = VifType.UNBOUND
    vif_details: Mapping[str, Any] = field(default_factory=dict)
    levels: tuple[BindingLevel, ...] = ()
    bound_at: datetime | None = None

    @property
    def generation(self) -> Generation | None:
        value = self.profile.get(GENERATION_KEY)
        return Generation(value) if isinstance(value, str) else None


@dataclass(frozen=True)
class FixedIp:
    subnet_id: SubnetId
    ip_address: str


@dataclass(frozen=True, order=True)
class Mark:
    """The order of an agent's reports: a later start of the agent beats an earlier one, then the sequence counts."""

    epoch: int  # when the agent started, ns since 1970
    sequence: int  # 1, 2, 3 … within the epoch


@dataclass(frozen=True)
class Report:
    """What an agent says of one port; `generation` is None for a device that carries none."""

    host: HostName
    generation: Generation | None
    mark: Mark


@dataclass(frozen=True)
class Port:
    """A row of the network's ports. Only `store.update` writes one."""

    id: PortId
    network_id: NetworkId
    project_id: ProjectId
    mac_address: str
    created_at: datetime
    updated_at: datetime
    name: str = ""
    description: str = ""
    admin_state_up: bool = True
    status: PortStatus = PortStatus.DOWN
    fixed_ips: tuple[FixedIp, ...] = ()
    device_id: str = ""
    device_owner: str = ""
    security_groups: tuple[str, ...] = ()
    allowed_address_pairs: tuple[Mapping[str, str], ...] = ()
    extra_dhcp_opts: tuple[Mapping[str, Any], ...] = ()
    port_security_enabled: bool = True
    tags: tuple[str, ...] = ()
    binding: Binding = field(default_factory=Binding)
    awaiting: frozenset[Provisioner] = frozenset()
    last_mark: Mark | None = None  # of the newest report that counted, in the bound generation
    revision_number: int = 1


def _moved(port: Port, event: PortEvent) -> Port:
    """The port after `event`. Raises Conflict for what the table leaves out."""
    try:
        status = NEXT[port.status, event]
    except KeyError:
        raise Conflict(f"port {port.id} is {port.status}: it cannot be {event}") from None
    return port if status is port.status else replace(port, status=status)


def looks_same(before: Port, after: Port) -> bool:
    """Whether nothing has changed that anybody is shown: what is awaited and the last mark are the network's own."""
    return replace(after, awaiting=before.awaiting, last_mark=before.last_mark) == before


def is_bound(port: Port) -> bool:
    return port.binding.vif_type not in (VifType.UNBOUND, VifType.BINDING_FAILED)


def counts(port: Port, report: Report) -> bool:
    """Whether a report is news about this binding: the bound host, the bound generation, and not older than the last.

    A binding without a generation (a real Nova's, an admin's PUT) takes any report of the bound host.
    """
    if not is_bound(port) or report.host != port.binding.host:
        return False
    if port.binding.generation is not None and report.generation != port.binding.generation:
        return False
    return port.last_mark is None or report.mark >= port.last_mark


def rebound(
    port: Port,
    host: HostName | None,
    profile: Mapping[str, Any],
    *,
    vnic_type: str,
    is_reachable: bool,
    segment: Segment,
    needs_dhcp: bool,
    now: datetime,
) -> Port:
    """The port bound to `host` (None unbinds), or as it was when nothing of the binding differs.

    `is_reachable`: a live L2 agent is on that host; without one the binding has failed, which is no error.
    `needs_dhcp`: a subnet of the port's addresses serves DHCP, and an agent on that host can.
    """
    before = port.binding
    if (
        (before.host, before.vnic_type, dict(before.profile)) == (host, vnic_type, dict(profile))
        and (host is None) == (before.vif_type is VifType.UNBOUND)
        and not (before.vif_type is VifType.BINDING_FAILED and is_reachable)
    ):
        return port
    if host is None:
        binding = Binding(vnic_type=vnic_type, profile=profile)
        return replace(_moved(port, PortEvent.REBOUND), binding=binding, awaiting=frozenset(), last_mark=None)
    if not is_reachable:
        binding = Binding(host=host, vnic_type=vnic_type, profile=profile, vif_type=VifType.BINDING_FAILED)
        return replace(_moved(port, PortEvent.REBOUND), binding=binding, awaiting=frozenset(), last_mark=None)
    binding = Binding(
        host=host,
        vnic_type=vnic_type,
        profile=profile,
        vif_type=VifType.OVS,
        vif_details={
            "port_filter": True,
            "ovs_hybrid_plug": False,
            "connectivity": "l2",
            "bridge_name": "br-int",
            "datapath_type": "netdev",
            "bound_drivers": {"0": "openvswitch"},
        },
        levels=(BindingLevel(level=0, driver="openvswitch", segment=segment.id),),
        bound_at=now,
    )
    awaiting = {Provisioner.L2, Provisioner.DHCP} if needs_dhcp else {Provisioner.L2}
    return replace(_moved(port, PortEvent.REBOUND), binding=binding, awaiting=frozenset(awaiting), last_mark=None)


def details_asked(port: Port, report: Report) -> Port:
    """The port once the bound host's agent has asked for its details: BUILD, unless it is ACTIVE already."""
    if not counts(port, report) or not port.admin_state_up:
        return port
    return replace(_moved(port, PortEvent.DETAILS_ASKED), last_mark=report.mark)


def provisioned(port: Port, by: Provisioner) -> Port:
    """The port after `by` has reported: ACTIVE when that was the last report awaited, and it may be up at all."""
    if not is_bound(port):
        return port
    awaiting = port.awaiting - {by}
    told = replace(port, awaiting=awaiting)
    return told if awaiting or not port.admin_state_up else _moved(told, PortEvent.PROVISIONED)


def reported_up(port: Port, report: Report) -> Port:
    """The port after its agent has wired it and said so; unchanged for news that does not count."""
    if not counts(port, report):
        return port
    return replace(provisioned(port, Provisioner.L2), last_mark=report.mark)


def reported_down(port: Port, report: Report) -> Port:
    """The port after its agent saw the device go: DOWN, and awaited from L2 again."""
    if not counts(port, report):
        return port
    return replace(_gone(port), last_mark=report.mark)


def absent(port: Port, host: HostName, mark: Mark, look_began: datetime) -> Port:
    """The port after a full look of `host` that did not have it: awaited from L2, unless bound after the look began.

    ACTIVE becomes DOWN; one that has yet to come up stays as it is. A look is as old as its `mark`: one that is older
    than the last report of the port is no news, and reports that are older than the look are none after it. The
    network's own ports (a DHCP server's) are no VIFs: no look has them.
    """
    if not is_bound(port) or port.binding.host != host or port.device_owner.startswith("network:"):
        return port
    if port.last_mark is not None and mark < port.last_mark:
        return port
    if port.binding.bound_at is not None and port.binding.bound_at >= look_began:
        return port
    if port.status is PortStatus.ACTIVE:
        return replace(_gone(port), last_mark=mark)
    return replace(port, awaiting=port.awaiting | {Provisioner.L2}, last_mark=mark)


def set_admin_state(port: Port, up: bool) -> Port:
    """The port switched on or off by its owner. Off: DOWN at once; on: it comes up with its agent's next report."""
    if port.admin_state_up == up:
        return port
    switched = replace(port, admin_state_up=up)
    return switched if up else _gone(switched)


def broke(port: Port) -> Port:
    """The port after a back end has given it up (a test hook; nothing of ours does)."""
    return _moved(port, PortEvent.BROKE)


def _gone(port: Port) -> Port:
    awaiting = port.awaiting | {Provisioner.L2} if is_bound(port) else frozenset[Provisioner]()
    return replace(_moved(port, PortEvent.WENT_AWAY), awaiting=awaiting)
