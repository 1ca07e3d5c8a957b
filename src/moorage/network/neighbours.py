"""Telling the agents that ports are not what they were. A hint: an agent's full look repairs a lost one."""

from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from moorage.domain.errors import MoorageError
from moorage.domain.ids import HostName, NetworkId, PortId
from moorage.domain.port import Port, is_bound
from moorage.seams.bus import Bus
from moorage.wire.messages import PortsChanged

log = structlog.get_logger(__name__)


def hosts_to_tell(before: Port | None, after: Port | None) -> frozenset[HostName]:
    """The hosts with an agent for which the change of a port makes a difference."""
    if before is not None and after is not None and _as_wired(before) == _as_wired(after):
        return frozenset()
    bound = [port for port in (before, after) if port is not None and is_bound(port)]
    return frozenset(port.binding.host for port in bound if port.binding.host is not None)


def _as_wired(port: Port) -> object:
    """What an agent and its DHCP server make of a port."""
    return (
        port.binding.host,
        port.binding.vif_type,
        port.binding.generation,
        port.fixed_ips,
        port.mac_address,
        port.admin_state_up,
        port.security_groups,
        port.port_security_enabled,
        port.allowed_address_pairs,
        port.extra_dhcp_opts,
        port.name,
    )


@dataclass(frozen=True)
class Neighbours:
    """The agents, by their queues."""

    bus: Bus

    async def tell(
        self, hosts: Iterable[HostName], *, ports: Iterable[PortId] = (), networks: Iterable[NetworkId] = ()
    ) -> None:
        """Cast PortsChanged to the agents of these hosts; a failure is logged."""
        message = PortsChanged(ports=tuple(ports), networks=tuple(networks))
        for host in sorted(hosts):
            try:
                await self.bus.cast(f"agent.{host}", message)
            except MoorageError as error:
                log.warning("an agent could not be told: its next full look will tell", host=host, error=str(error))

    async def tell_changed(self, before: Port | None, after: Port | None) -> None:
        """Tell whom the change of one port concerns."""
        port = after or before
        if port is not None:
            await self.tell(hosts_to_tell(before, after), ports=[port.id], networks=[port.network_id])
