"""Security groups of a server that exists: its ports take one on, or off. The network tells their agents."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from moorage.compute_api.acting import Acting, require_unlocked
from moorage.compute_api.view import group_names
from moorage.domain.caller import Caller
from moorage.domain.errors import NotFound, Stale
from moorage.domain.ids import PortId
from moorage.domain.server import Server
from moorage.kit.retry import retry
from moorage.seams.network_api import GroupInfo, NetworkApi

STALE_FOR = 5.0  # seconds: how long a port's change is tried again because it has changed meanwhile


@dataclass(frozen=True)
class Grouping:
    acting: Acting
    network: NetworkApi

    async def of(self, server: Server) -> Sequence[GroupInfo]:
        """The server's groups, by the names that they have now. Raises NotFound for one that is gone, Unavailable."""
        known = server.security_groups or [str(entry["name"]) for entry in group_names(server)]
        return await self.network.security_groups(server.project, known)

    async def add(self, server: str, name: str, caller: Caller) -> None:
        """Repeatable. Raises NotFound, Conflict, Unavailable."""
        row, group = await self._found(server, name, caller)
        groups = await self.of(row)
        if group not in groups:
            await self._change(row, caller, [*groups, group])
        await self._on_ports(row, lambda groups: tuple(dict.fromkeys((*groups, group.id))))

    async def remove(self, server: str, name: str, caller: Caller) -> None:
        """Raises NotFound also for a group that the server has not; Conflict, Unavailable."""
        row, group = await self._found(server, name, caller)
        groups = await self.of(row)
        ports = await self.network.ports(device=row.id)
        if group not in groups and not any(group.id in port.security_groups for port in ports):
            raise NotFound(f"Security group {name} not associated with the instance {server}")
        await self._change(row, caller, [each for each in groups if each != group])
        await self._on_ports(row, lambda groups: tuple(each for each in groups if each != group.id))

    async def _found(self, server: str, name: str, caller: Caller) -> tuple[Server, GroupInfo]:
        row = await self.acting.own(server, caller)
        require_unlocked(row, caller)
        [group] = await self.network.security_groups(row.project, [name])
        return row, group

    async def _change(self, row: Server, caller: Caller, groups: Sequence[GroupInfo]) -> None:
        """On the record first: what is made for the server from now on has its groups from there."""

        def rule(before: Server) -> Server:
            require_unlocked(before, caller)
            return replace(
                before,
                security_groups=tuple(group.id for group in groups),
                extra={**before.extra, "groups": [group.name for group in groups]},
            )

        await self.acting.change(row.id, caller, rule, states=None)

    async def _on_ports(self, row: Server, change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> None:
        for port in await self.network.ports(device=row.id):

            async def write(port_id: PortId = port.id) -> None:
                for current in await self.network.ports(ids=[port_id]):
                    if (groups := change(current.security_groups)) != current.security_groups:
                        await self.network.set_groups(current, groups)

            await retry(write, on=Stale, timeout=STALE_FOR, first=0.005, longest=0.2)
