"""Leases that have outlived their reservation, and the message that ends one.

dnsmasq keeps a lease to its end, and does not give a reserved address that is leased to another client. A lease whose
port is gone is therefore released in its client's name (as Neutron does with dhcp_release).
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from ipaddress import IPv4Address

_COOKIE = bytes([99, 130, 83, 99])
_MESSAGE_TYPE, _SERVER_IDENTIFIER, _CLIENT_IDENTIFIER, _END = 53, 54, 61, 255
_RELEASE = 7


@dataclass(frozen=True)
class Lease:
    """One line of the lease file."""

    mac: str
    address: str
    client_identifier: bytes = b""


def parsed(text: str) -> tuple[Lease, ...]:
    """The IPv4 leases in a lease file; lines of another kind are passed over."""
    found = []
    for line in text.splitlines():
        parts = line.split()
        if len(parts) == 5 and parts[1].count(":") == 5:  # expiry, MAC, address, hostname, client identifier
            identifier = b"" if parts[4] == "*" else bytes.fromhex(parts[4].replace(":", ""))
            found.append(Lease(parts[1].lower(), parts[2], identifier))
    return tuple(found)


def stale(leases: Iterable[Lease], reserved: Set[tuple[str, str]]) -> tuple[Lease, ...]:
    """Those that are not among the (MAC, address) pairs that are `reserved`."""
    return tuple(lease for lease in leases if (lease.mac, lease.address) not in reserved)


def without(text: str, gone: Iterable[Lease]) -> str:
    """A lease file without some leases."""
    addresses = {lease.address for lease in gone}
    return "".join(line for line in text.splitlines(keepends=True) if not addresses & set(line.split()[2:3]))


def release(lease: Lease, server: IPv4Address, transaction: int) -> bytes:
    """The DHCPRELEASE of a client that gives its lease back (RFC 2131, table 5)."""
    hardware = bytes.fromhex(lease.mac.replace(":", ""))
    header = bytes([1, 1, len(hardware), 0]) + transaction.to_bytes(4) + bytes(4) + IPv4Address(lease.address).packed
    header += bytes(12) + hardware.ljust(16, b"\0") + bytes(192)  # other addresses, hardware, server and file names
    options = bytes([_MESSAGE_TYPE, 1, _RELEASE, _SERVER_IDENTIFIER, 4]) + server.packed
    if lease.client_identifier:
        options += bytes([_CLIENT_IDENTIFIER, len(lease.client_identifier)]) + lease.client_identifier
    return header + _COOKIE + options + bytes([_END])
