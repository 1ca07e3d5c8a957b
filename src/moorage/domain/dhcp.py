"""What DHCP does to a port that waits for it: the server's word counts for the reservation it has read (hop ready)."""

from collections.abc import Set
from dataclasses import dataclass, replace

from moorage.domain.ids import Generation, HostName, SubnetId
from moorage.domain.port import Port, PortStatus, Provisioner, is_bound, provisioned


@dataclass(frozen=True)
class Reserved:
    """What a host's DHCP server has read of one port: the port as it was when the network told the host of it."""

    host: HostName
    generation: Generation | None
    mac: str
    addresses: frozenset[str]  # all of the port's, also those that no server hands out


def addresses_of(port: Port) -> frozenset[str]:
    return frozenset(ip.ip_address for ip in port.fixed_ips)


def dhcp_reported(port: Port, read: Reserved) -> Port:
    """The port after the DHCP server on its host has read its reservation; unchanged for news that does not count.

    It counts for the bound host and generation, and the addresses that the port still has. A binding without a
    generation takes any report of its host.
    """
    if not is_bound(port) or port.binding.host != read.host or Provisioner.DHCP not in port.awaiting:
        return port
    if port.binding.generation not in (None, read.generation):
        return port
    if (port.mac_address, addresses_of(port)) != (read.mac, read.addresses):
        return port
    return provisioned(port, Provisioner.DHCP)


def dhcp_unneeded(port: Port, served: Set[SubnetId]) -> Port:
    """The port once only `served` subnets have DHCP: one with no address there awaits it no more."""
    if Provisioner.DHCP not in port.awaiting or _is_served(port, served):
        return port
    return provisioned(port, Provisioner.DHCP)


def readdressed(port: Port, served: Set[SubnetId], *, has_server: bool) -> Port:
    """The port with other addresses than it had: DHCP is awaited for these, unless it is ACTIVE already.

    `has_server`: an agent on its host can serve DHCP.
    """
    if not is_bound(port) or port.status is PortStatus.ACTIVE:
        return port
    if not _is_served(port, served):
        return dhcp_unneeded(port, served)
    return replace(port, awaiting=port.awaiting | {Provisioner.DHCP}) if has_server else port


def _is_served(port: Port, served: Set[SubnetId]) -> bool:
    return any(ip.subnet_id in served for ip in port.fixed_ips)
