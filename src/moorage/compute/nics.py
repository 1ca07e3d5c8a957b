"""A server's ports: made or adopted and bound on the way up (hop bound), deleted or unbound on the way down.

Making is repeatable: a port is made and bound in one request, with the NIC's number in its profile, and a re-run first
lists the server's ports and adopts by that number. The profile has the server's attempt too, and each write is of the
port as it was read: so an older attempt, on a host that was believed dead, takes nothing from a newer one.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from moorage.compute.records import NotOurs
from moorage.domain.errors import Conflict, MoorageError, NotFound, Stale, Unavailable
from moorage.domain.ids import Generation, HostName, NetworkId, PortId, ServerId
from moorage.domain.port import ATTEMPT_KEY, GENERATION_KEY, MADE_KEY, NIC_KEY
from moorage.domain.server import NicInfo, RequestedNic, Server
from moorage.kit.retry import retry
from moorage.seams.network_api import NetworkApi, NetworkInfo, NetworkPort

T = TypeVar("T")
STALE_FOR = 5.0  # seconds: how long a write is tried again because the port has changed meanwhile


class BindingFailed(MoorageError):
    """The network cannot bind a port to this host: no live agent there. Another host may do."""


@dataclass(frozen=True)
class Nics:
    network: NetworkApi
    host: HostName

    async def bring(self, server: Server, generation: Generation) -> Sequence[NetworkPort]:
        """The server's ports in the order of its NICs, all bound to this host in `generation`.

        Raises BindingFailed; NotOurs when a newer attempt has them; Conflict for a port that is another server's;
        Exhausted when no address is left; NotFound, Invalid, Unavailable.
        """
        theirs = await self.network.ports(device=server.id)
        made: dict[int, NetworkPort] = {}
        recorded = {nic.port for nic in server.nics}
        for port in sorted(filter(is_ours, theirs), key=lambda port: (port.id not in recorded, port.id)):
            if made.setdefault(port.profile[NIC_KEY], port) is not port:
                await _on_fresh(self._releasing(server, port.id))  # made twice for one NIC
        brought: list[NetworkPort] = []
        for number, wanted in enumerate(server.nics_wanted):
            profile = {GENERATION_KEY: generation, ATTEMPT_KEY: server.attempt, NIC_KEY: number}
            port = await self._bring_one(server, wanted, made.get(number), profile)
            if port.vif_type in ("binding_failed", "unbound"):
                raise BindingFailed(f"port {port.id} cannot be bound to this host: no live network agent there")
            brought.append(port)
        return brought

    async def _bring_one(
        self, server: Server, wanted: RequestedNic, made: NetworkPort | None, profile: Mapping[str, Any]
    ) -> NetworkPort:
        owner = f"compute:{server.availability_zone}"
        if wanted.port is None and made is None:
            assert wanted.network is not None  # a requested NIC names a network or a port
            return await self.network.create_port(
                network=wanted.network,
                project=server.project,
                device=server.id,
                owner=owner,
                host=self.host,
                profile={**profile, MADE_KEY: True},
                fixed_ip=wanted.fixed_ip,
                security_groups=server.security_groups or None,
            )
        port_id = wanted.port if wanted.port is not None else made.id if made is not None else PortId("")

        async def bind() -> NetworkPort:
            port = await self._read(port_id, is_made=made is not None)
            if port.device_id not in ("", server.id):
                raise Conflict(f"Port {port.id} is still in use.", kind="PortInUse")
            if is_of_newer(port, server):
                raise NotOurs(f"port {port.id} is bound for a newer attempt of server {server.id}")
            return await self.network.bind_port(port, device=server.id, owner=owner, host=self.host, profile=profile)

        return await _on_fresh(bind)

    async def release(self, server: Server) -> None:
        """Delete the ports that were made for the server, unbind the others, leave a newer attempt's. Repeatable."""
        for port in await self.network.ports(device=server.id):
            await _on_fresh(self._releasing(server, port.id))

    async def bound_here(self) -> Mapping[ServerId, Sequence[NetworkPort]]:
        """The ports of servers that are bound to this host, by server."""
        found: dict[ServerId, list[NetworkPort]] = {}
        for port in await self.network.ports(host=self.host):
            if port.device_owner.startswith("compute:") and GENERATION_KEY in port.profile:
                found.setdefault(ServerId(port.device_id), []).append(port)
        return found

    async def sweep(self, ports: Sequence[NetworkPort]) -> None:
        """Delete or unbind ports of a server that is gone, each as it was read: one that has changed is left."""
        for port in ports:
            try:
                await self._let_go(port)
            except (NotFound, Stale):
                continue

    def _releasing(self, server: Server, port_id: PortId) -> Callable[[], Awaitable[None]]:
        async def release() -> None:
            try:
                port = await self._read(port_id)
                if port.device_id != server.id or is_of_newer(port, server):
                    return  # given to another meanwhile
                await self._let_go(port)
            except NotFound:
                return  # gone already

        return release

    async def _let_go(self, port: NetworkPort) -> None:
        """Delete a port that compute made; any other is its owner's, and only unbound."""
        if port.profile.get(MADE_KEY):
            await self.network.delete_port(port)
        else:
            await self.network.unbind_port(port)

    async def networks(self, ports: Sequence[NetworkPort]) -> Mapping[NetworkId, NetworkInfo]:
        """The networks of these ports."""
        ids = sorted({port.network for port in ports})
        return {info.id: info for info in await self.network.networks(ids=ids)} if ids else {}

    async def _read(self, port_id: PortId, *, is_made: bool = False) -> NetworkPort:
        found = await self.network.ports(ids=[port_id])
        if not found and is_made:
            raise Unavailable(f"port {port_id} was just deleted: another is made")
        if not found:
            raise NotFound(f"Port {port_id} could not be found.", kind="PortNotFound")
        return found[0]


def described(ports: Sequence[NetworkPort], networks: Mapping[NetworkId, NetworkInfo]) -> Sequence[NicInfo]:
    """What compute keeps of the ports, for its API."""
    return [
        NicInfo(
            port=port.id,
            network=port.network,
            network_name=networks[port.network].name if port.network in networks else port.network,
            mac_address=port.mac,
            addresses=port.addresses,
            is_ours=bool(port.profile.get(MADE_KEY)),
        )
        for port in ports
    ]


def is_ours(port: NetworkPort) -> bool:
    """Whether compute made the port, for a NIC that has a number."""
    return bool(port.profile.get(MADE_KEY)) and isinstance(port.profile.get(NIC_KEY), int)


def is_of_newer(port: NetworkPort, server: Server) -> bool:
    """Whether a newer attempt of the server has the port."""
    attempt = port.profile.get(ATTEMPT_KEY, 0)
    return port.device_id == server.id and isinstance(attempt, int) and attempt > server.attempt


async def _on_fresh(write: Callable[[], Awaitable[T]]) -> T:
    """Do a read-and-write, again while the port turns out to have changed in between."""
    return await retry(write, on=Stale, timeout=STALE_FOR, first=0.005, longest=0.2)
