"""Networks and subnets: what a port is on."""

from dataclasses import dataclass
from datetime import datetime

from moorage.domain.ids import NetworkId, ProjectId, SubnetId
from moorage.domain.segments import Segment


@dataclass(frozen=True)
class Network:
    id: NetworkId
    project_id: ProjectId
    name: str
    segments: tuple[Segment, ...]
    created_at: datetime
    updated_at: datetime
    description: str = ""
    admin_state_up: bool = True
    shared: bool = False
    mtu: int = 1500  # bytes; too little for IPv4 only while it has no subnet
    port_security_enabled: bool = True
    subnets: tuple[SubnetId, ...] = ()
    tags: tuple[str, ...] = ()
    revision_number: int = 1


@dataclass(frozen=True)
class Pool:
    """A range of addresses to give out, both ends included."""

    start: str
    end: str


@dataclass(frozen=True)
class Route:
    destination: str  # CIDR
    nexthop: str


@dataclass(frozen=True)
class Subnet:
    """An IPv4 subnet. `gateway_ip` None means that the subnet has none."""

    id: SubnetId
    network_id: NetworkId
    project_id: ProjectId
    name: str
    cidr: str
    gateway_ip: str | None
    allocation_pools: tuple[Pool, ...]
    created_at: datetime
    updated_at: datetime
    description: str = ""
    ip_version: int = 4
    enable_dhcp: bool = True
    dns_nameservers: tuple[str, ...] = ()
    host_routes: tuple[Route, ...] = ()
    tags: tuple[str, ...] = ()
    revision_number: int = 1
