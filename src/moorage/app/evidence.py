"""What can be seen of a cloud's guests and switches besides its APIs."""

import re
from collections.abc import Sequence

from moorage.app.hosts import Host
from moorage.domain.errors import NotFound
from moorage.domain.ids import PortId, ServerId
from moorage.domain.server import Server
from moorage.seams.server_store import ServerStore
from moorage.seams.world import World

_ADDRESS = re.compile(rb"^moorage-guest: address (\d+\.\d+\.\d+\.\d+)", re.MULTILINE)


class Evidence:
    """Looks at the world, never at what a record says of it."""

    def __init__(self, hosts: Sequence[Host], servers: ServerStore) -> None:
        self._hosts = hosts
        self._servers = servers

    async def guest_exists(self, server: str) -> bool:
        return await self._host_of(ServerId(server)) is not None

    async def switch_has_port(self, port: str) -> bool:
        return any([PortId(port) in await host.equipment.plugging.plugged() for host in self._hosts])

    async def guest_address(self, server: str) -> str | None:
        for host in self._hosts:
            try:
                said = await host.equipment.hypervisor.console(ServerId(server))
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
        if host is None or host.equipment.world is None:
            return None
        from moorage.adapters.dnsmasq.dhcp import server_name

        record = await self._server(server)
        return (host.equipment.world, server_name(record.nics[0].network)) if record.nics else None

    async def _server(self, server: str) -> Server:
        return await self._servers.show(ServerId(server), project=None)

    async def _host_of(self, server: ServerId) -> Host | None:
        for host in self._hosts:
            if await host.equipment.hypervisor.state(server) is not None:
                return host
        return None
