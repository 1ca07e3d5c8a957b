"""Ways into the guests of an all-in-one: from their networks' DHCP servers, and by their serial consoles."""

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack

from moorage.app.hosts import Host
from moorage.domain.errors import Invalid, NotFound, Unavailable
from moorage.domain.ids import ServerId
from moorage.domain.server import NicInfo, Server
from moorage.seams.server_store import ServerStore
from moorage.seams.world import World

CONNECT_WITHIN = 5.0  # seconds


class HostDoors:
    """Fulfils control.Doors. Finds a server's host by its record."""

    def __init__(self, hosts: Sequence[Host], servers: ServerStore) -> None:
        self._hosts = {host.equipment.name: host for host in hosts}
        self._servers = servers

    async def to_port(self, server: ServerId, port: int) -> socket.socket:
        record, host = await self._found(server)
        world = host.equipment.world
        if world is None:
            raise Invalid(f"server {record.name} runs on a simulated host: there is no guest to reach")
        places = [(nic, address) for nic in record.nics for address in nic.addresses]
        if not places:
            raise NotFound(f"server {record.name} has no address")
        refusals = []
        for nic, address in places:
            try:
                async with asyncio.timeout(CONNECT_WITHIN / len(places)):
                    return await _connected(world, nic, address, port)
            except TimeoutError:
                refusals.append(f"{address} did not answer: is its guest up?")
            except OSError as error:
                refusals.append(f"{address}: {os.strerror(error.errno or 0)}")
        raise Unavailable(f"port {port} of server {record.name}: {'; '.join(refusals)}")

    async def to_console(self, server: ServerId) -> socket.socket:
        _, host = await self._found(server)
        return await host.equipment.hypervisor.open_console(server)

    async def _found(self, server: ServerId) -> tuple[Server, Host]:
        record = await self._servers.show(server, project=None)
        if record.host is None or record.host not in self._hosts:
            raise NotFound(f"server {record.name} is on no host")
        return record, self._hosts[record.host]


async def _connected(world: World, nic: NicInfo, address: str, port: int) -> socket.socket:
    """A TCP connection from the namespace of the network's DHCP server, which is the cloud's own place there."""
    from moorage.adapters.dnsmasq.dhcp import server_name

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        stream = await world.socket(family, socket.SOCK_STREAM, namespace=server_name(nic.network))
    except NotFound as error:
        raise NotFound(f"network {nic.network_name} has no DHCP server on this host, from which to reach it") from error
    with ExitStack() as unless_connected:
        unless_connected.enter_context(stream)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await asyncio.get_running_loop().sock_connect(stream, (address, port))
        unless_connected.pop_all()
    return stream
