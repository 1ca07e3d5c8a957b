"""What dnsmasq reads: its configuration once, its hosts and options again on each SIGHUP."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

from moorage.seams.dhcp import DhcpNetwork, DhcpRange, Reservation

_HOSTNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
INSIDE = "eth0"  # the server's end of the cable to its port on the switch
_ROUTER, _DNS, _MTU, _CLASSLESS_ROUTES = 3, 6, 26, 121


@dataclass(frozen=True)
class Files:
    """Where everything of one server is."""

    directory: Path

    @property
    def configuration(self) -> Path:
        return self.directory / "configuration"

    @property
    def hosts(self) -> Path:
        return self.directory / "hosts"

    @property
    def options(self) -> Path:
        return self.directory / "options"

    @property
    def leases(self) -> Path:
        return self.directory / "leases"

    @property
    def log(self) -> Path:
        return self.directory / "log"


def configuration(wanted: DhcpNetwork, files: Files) -> str:
    """What dnsmasq must be started anew for when it changes."""
    port = f"{wanted.device} {wanted.mac} {wanted.mtu} {' '.join(server_addresses(wanted))}"
    lines = [
        f"# its port, set up before it starts: {port}",
        "port=0",  # no DNS
        "no-resolv",
        "no-hosts",
        "no-ping",  # addresses are ours to give: nobody else has them
        "bind-interfaces",
        f"interface={INSIDE}",
        "dhcp-authoritative",
        "dhcp-ignore=tag:!known",
        "dhcp-lease-max=65536",
        f"dhcp-leasefile={files.leases}",
        f"dhcp-hostsfile={files.hosts}",
        f"dhcp-optsfile={files.options}",
        f"log-facility={files.log}",
    ]
    for number, served in enumerate(wanted.ranges):
        subnet = IPv4Network(served.cidr)
        lines.append(
            f"dhcp-range=set:subnet{number},{subnet.network_address},static,{subnet.netmask},{max(wanted.lease, 120)}s"
        )
    return "\n".join(lines) + "\n"


def hosts(wanted: DhcpNetwork) -> str:
    """One line for each reservation."""
    return "".join(_host(reservation) for reservation in wanted.reservations)


def options(wanted: DhcpNetwork) -> str:
    """What clients are told besides their address, by subnet; a number alone means: not even dnsmasq's default."""
    lines = [f"{_MTU},{wanted.mtu}"]
    for number, served in enumerate(wanted.ranges):
        tag = f"tag:subnet{number}"
        lines.append(",".join([tag, str(_ROUTER), *([served.gateway] if served.gateway else [])]))
        lines.append(",".join([tag, str(_DNS), *served.dns]))
        if served.routes:
            lines.append(",".join([tag, str(_CLASSLESS_ROUTES), *_classless_routes(served)]))
    return "\n".join(lines) + "\n"


def server_addresses(wanted: DhcpNetwork) -> tuple[str, ...]:
    """The server's own, with prefix lengths."""
    return tuple(str(IPv4Interface(served.server_address)) for served in wanted.ranges)


def _host(reservation: Reservation) -> str:
    parts = [reservation.mac, reservation.address]
    if _HOSTNAME.fullmatch(reservation.hostname):  # one that dnsmasq would refuse is not worth the whole line
        parts.append(reservation.hostname)
    return ",".join(parts) + "\n"


def _classless_routes(served: DhcpRange) -> list[str]:
    # Option 121 must repeat the default route: clients that read it ignore option 3 (RFC 3442, "DHCP Client Behavior").
    pairs = [(route.destination, route.nexthop) for route in served.routes]
    if served.gateway and all(destination != "0.0.0.0/0" for destination, _ in pairs):
        pairs.append(("0.0.0.0/0", served.gateway))
    return [part for pair in pairs for part in pair]
