"""A host's DHCP servers, one for each network that has ports there."""

from collections.abc import AsyncIterator, Set
from dataclasses import dataclass
from typing import Protocol

from moorage.domain.ids import NetworkId, PortId
from moorage.domain.network import Route


@dataclass(frozen=True)
class Reservation:
    port: PortId
    mac: str
    address: str
    hostname: str


@dataclass(frozen=True)
class DhcpRange:
    """One subnet that is served. `server_address` is the DHCP server's own, with the subnet's prefix length."""

    cidr: str
    server_address: str
    gateway: str | None
    dns: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True)
class DhcpNetwork:
    """Everything one DHCP server needs to know. `device` is made for it, for its port on the host's switch."""

    network: NetworkId
    device: str
    mac: str
    mtu: int
    ranges: tuple[DhcpRange, ...]
    reservations: tuple[Reservation, ...]
    lease: int = 86400  # seconds


class Dhcp(Protocol):
    async def serve(self, wanted: DhcpNetwork) -> None:
        """Hand out exactly these addresses; returns when the server has read them (it says so in its log).

        The device is there then. Starts the server if need be; an unchanged repeat returns at once. The caller
        coalesces: one call at a time for each network. Raises Unavailable.
        """

    async def stop(self, network: NetworkId) -> None:
        """Stop serving and remove all that belongs to it, its device too. Not serving is fine. Raises Unavailable."""

    async def serving(self) -> Set[NetworkId]:
        """The networks served now."""

    def ended(self) -> AsyncIterator[NetworkId]:
        """Networks whose server has ended by itself since we serve them, as it happens: serve them again. Does not end.

        One that ended before `serve` was called is started by that.
        """
