"""What can be read below a server: actions, interfaces, addresses, groups."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moorage.compute_api import listing
from moorage.compute_api.http.edge import (
    caller_of,
    eye_of,
    minor_of,
    next_link,
    query_of,
)
from moorage.compute_api.service import ComputeApiService
from moorage.compute_api.view import action_detail, action_view, addresses, shown_nics
from moorage.domain.errors import Invalid, NotFound
from moorage.domain.ids import ServerId
from moorage.domain.server import Server
from moorage.kit.web import Request, Response, send
from moorage.seams.network_api import NetworkPort


@dataclass(frozen=True)
class InstanceActions:
    """What was done to a server, newest first; from 2.21 on of deleted ones, too."""

    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str) -> None:
        eye, query = eye_of(request), query_of(request)
        row = await seen(self.service, request, server)
        actions = list(await self.service.store.actions(row.id))
        is_more = False
        if eye.minor >= 58:
            since = listing.time_of(query, "changes-since")
            before = listing.time_of(query, "changes-before") if eye.minor >= 66 else None
            actions = [
                action
                for action in actions
                if (since is None or action.updated >= since) and (before is None or action.updated <= before)
            ]
            marker, limit = listing.last(query, "marker"), listing.limit_of(query)
            if marker is not None:
                index = next((i for i, action in enumerate(actions) if action.request_id == marker), None)
                if index is None:
                    raise Invalid(f"marker [{marker}] not found")
                actions = actions[index + 1 :]
            is_more, actions = len(actions) > limit, actions[:limit]
        body: dict[str, Any] = {"instanceActions": [action_view(action, eye) for action in actions]}
        if is_more and actions:
            body["links"] = [next_link(request, actions[-1].request_id)]
        send(response, body)


@dataclass(frozen=True)
class OneInstanceAction:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str, action: str) -> None:
        row = await seen(self.service, request, server)
        found = [known for known in await self.service.store.actions(row.id) if known.request_id == action]
        if not found:
            raise NotFound(f"Action for request_id {action} on instance {server} not found")
        send(response, {"instanceAction": action_detail(found[0], eye_of(request))})


async def seen(service: ComputeApiService, request: Request, server: str) -> Server:
    """The server, also a deleted one from 2.21 on."""
    caller = caller_of(request)
    project = None if caller.is_admin else caller.require_project()
    is_deleted = None if minor_of(request) >= 21 else False
    return await service.store.show(ServerId(server), project=project, is_deleted=is_deleted)


@dataclass(frozen=True)
class Interfaces:
    """A server's ports, as the network shows them now."""

    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str) -> None:
        row = await self.service.acting.own(server, caller_of(request))
        views = [
            interface_view(port, subnets, row, minor_of(request)) for port, subnets in await ports_of(self.service, row)
        ]
        send(response, {"interfaceAttachments": views})


@dataclass(frozen=True)
class OneInterface:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str, port: str) -> None:
        row = await self.service.acting.own(server, caller_of(request))
        for found, subnets in await ports_of(self.service, row):
            if found.id == port:
                send(response, {"interfaceAttachment": interface_view(found, subnets, row, minor_of(request))})
                return
        raise NotFound(f"Port {port} is not attached to server {server}.")


async def ports_of(service: ComputeApiService, server: Server) -> list[tuple[NetworkPort, tuple[str, ...]]]:
    """The ports in the order of the server's NICs, each with its network's subnets."""
    order = {nic.port: index for index, nic in enumerate(server.nics)}
    ports = sorted(
        await service.network.ports(device=server.id), key=lambda port: (order.get(port.id, len(order)), port.id)
    )
    if not ports:
        return []
    networks = await service.network.networks(ids=list(dict.fromkeys(port.network for port in ports)))
    subnets = {network.id: network.subnets for network in networks}
    return [(port, subnets.get(port.network, ())) for port in ports]


def interface_view(port: NetworkPort, subnets: tuple[str, ...], server: Server, minor: int) -> Mapping[str, Any]:
    view: dict[str, Any] = {
        "port_id": port.id,
        "net_id": port.network,
        "mac_addr": port.mac,
        "port_state": port.status,
        # the Network API's view of a port that we read names no subnets; most networks have one
        "fixed_ips": [{"subnet_id": subnets[0] if subnets else None, "ip_address": ip} for ip in port.addresses],
    }
    if minor >= 70:
        tags = dict(zip((nic.port for nic in server.nics), server.extra.get("nic_tags", ()), strict=False))
        view["tag"] = tags.get(port.id)
    return view


@dataclass(frozen=True)
class Addresses:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str) -> None:
        row = await self.service.acting.own(server, caller_of(request))
        send(response, {"addresses": addresses(shown_nics(row), is_extended=False)})


@dataclass(frozen=True)
class NetworkAddresses:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str, network: str) -> None:
        row = await self.service.acting.own(server, caller_of(request))
        found = addresses(shown_nics(row), is_extended=False)
        if network not in found:
            raise NotFound("Network not found")
        send(response, {network: found[network]})


@dataclass(frozen=True)
class ServerGroups:
    """The security groups of a server."""

    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str) -> None:
        row = await self.service.acting.own(server, caller_of(request))
        groups = [
            {"id": group.id, "name": group.name, "description": "", "tenant_id": row.project, "rules": []}
            for group in await self.service.grouping.of(row)
        ]
        send(response, {"security_groups": groups})


@dataclass(frozen=True)
class Volumes:
    """There are none."""

    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str) -> None:
        await self.service.acting.own(server, caller_of(request))
        send(response, {"volumeAttachments": []})
