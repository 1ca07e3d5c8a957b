"""What can be seen of a cloud's guests and switches besides its APIs."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from moorage.domain.errors import NotFound
from moorage.domain.ids import NetworkId, PortId, ServerId
from moorage.seams.hypervisor import Hypervisor
from moorage.seams.switch import Plugging
from moorage.seams.world import World

_ADDRESS = re.compile(rb"^moorage-guest: address (\d+\.\d+\.\d+\.\d+)", re.MULTILINE)


class Seen(Protocol):
    """A host, as it is looked at."""

    @property
    def hypervisor(self) -> Hypervisor: ...

    @property
    def plugging(self) -> Plugging: ...

    @property
    def world(self) -> World | None: ...


class Evidence:
    """Looks at the world, never at what a record says of it; but for `network_of`, the first network of a server."""

    def __init__(self, hosts: Sequence[Seen], network_of: Callable[[ServerId], Awaitable[NetworkId | None]]) -> None:
        self._hosts = hosts
        self._network_of = network_of

    async def guest_exists(self, server: str) -> bool:
        return await self._host_of(ServerId(server)) is not None

    async def switch_has_port(self, port: str) -> bool:
        return any([PortId(port) in await host.plugging.plugged() for host in self._hosts])

    async def guest_address(self, server: str) -> str | None:
        for host in self._hosts:
            try:
                said = await host.hypervisor.console(ServerId(server))
            except NotFound:
                continue
            found = _ADDRESS.findall(said)
            return found[-1].decode() if found else None
        return None

    async def ping(self, server: str, address: str, *, patience: float) -> bool | None:
        place = await self._place(server)
        if place is None:
            return None
        from moorage.adapters.world.reach import ping

        return await ping(*place, address, patience=patience)

    async def fetch(self, server: str, address: str, *, port: int, patience: float) -> str | None:
        place = await self._place(server)
        if place is None:
            return None
        from moorage.adapters.world.reach import fetch

        return await fetch(*place, address, port=port, patience=patience)

    async def _place(self, server: str) -> tuple[World, str] | None:
        """The world and the namespace of the DHCP server of the server's network, from which it can be reached."""
        host = await self._host_of(ServerId(server))
        if host is None or host.world is None:
            return None
        from moorage.adapters.dnsmasq.dhcp import server_name

        network = await self._network_of(ServerId(server))
        return None if network is None else (host.world, server_name(network))

    async def _host_of(self, server: ServerId) -> Seen | None:
        for host in self._hosts:
            if await host.hypervisor.state(server) is not None:
                return host
        return None
