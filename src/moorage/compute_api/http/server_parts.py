"""What hangs below a server: metadata, tags, actions, interfaces, addresses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from msgspec import Meta

from moorage.compute_api import listing
from moorage.compute_api.acting import CHANGEABLE
from moorage.compute_api.http.edge import (
    caller_of,
    eye_of,
    minor_of,
    next_link,
    only_from,
    query_of,
    read_body,
)
from moorage.compute_api.service import ComputeApiService
from moorage.compute_api.view import action_detail, action_view, addresses, group_names, shown_nics
from moorage.domain.errors import Exhausted, Invalid, NotFound
from moorage.domain.ids import ServerId
from moorage.domain.server import Server
from moorage.kit.web import Request, Response, send, send_nothing
from moorage.seams.network_api import NetworkPort
from moorage.wire.compute import MetaBody, MetadataBody, TagsBody
from moorage.wire.json import convert

Tag = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[^,/]*$")]
MOST_TAGS = 50


@dataclass(frozen=True)
class Metadata:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str) -> None:
        row = await self.service.acting.own(server, caller_of(request))
        send(response, {"metadata": dict(row.metadata)})

    async def on_put(self, request: Request, response: Response, server: str) -> None:
        given = (await read_body(request, MetadataBody)).metadata
        await self._change(request, response, server, lambda _: given)

    async def on_post(self, request: Request, response: Response, server: str) -> None:
        given = (await read_body(request, MetadataBody)).metadata
        await self._change(request, response, server, lambda before: {**before, **given})

    async def _change(
        self,
        request: Request,
        response: Response,
        server: str,
        change: Callable[[Mapping[str, str]], Mapping[str, str]],
    ) -> None:
        row = await changed_metadata(self.service, request, server, change)
        send(response, {"metadata": dict(row.metadata)})


@dataclass(frozen=True)
class OneMetadata:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str, key: str) -> None:
        row = await self.service.acting.own(server, caller_of(request))
        require_key(row.metadata, key)
        send(response, {"meta": {key: row.metadata[key]}})

    async def on_put(self, request: Request, response: Response, server: str, key: str) -> None:
        given = (await read_body(request, MetaBody)).meta
        if set(given) != {key}:
            raise Invalid("Request body and URI mismatch")
        await changed_metadata(self.service, request, server, lambda before: {**before, **given})
        send(response, {"meta": given})

    async def on_delete(self, request: Request, response: Response, server: str, key: str) -> None:
        def without(before: Mapping[str, str]) -> Mapping[str, str]:
            require_key(before, key)
            return {name: value for name, value in before.items() if name != key}

        await changed_metadata(self.service, request, server, without)
        send_nothing(response)


async def changed_metadata(
    service: ComputeApiService,
    request: Request,
    server: str,
    change: Callable[[Mapping[str, str]], Mapping[str, str]],
) -> Server:
    most = service.limits.metadata_items

    def rule(row: Server) -> Server:
        after = change(row.metadata)
        if 0 <= most < len(after):
            raise Exhausted(f"Maximum number of metadata items exceeds {most}")
        return replace(row, metadata=after)

    return await service.acting.change(server, caller_of(request), rule, states=CHANGEABLE)


def require_key(metadata: Mapping[str, str], key: str) -> None:
    if key not in metadata:
        raise NotFound("Metadata item was not found")


@dataclass(frozen=True)
class Tags:
    """From 2.26 on."""

    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str) -> None:
        only_from(request, 26)
        row = await self.service.acting.own(server, caller_of(request))
        send(response, {"tags": list(row.tags)})

    async def on_put(self, request: Request, response: Response, server: str) -> None:
        only_from(request, 26)
        tags = tuple(convert(tag, Tag) for tag in dict.fromkeys((await read_body(request, TagsBody)).tags))
        await self.service.acting.change(server, caller_of(request), lambda row: replace(row, tags=tags), states=None)
        send(response, {"tags": list(tags)})

    async def on_delete(self, request: Request, response: Response, server: str) -> None:
        only_from(request, 26)
        await self.service.acting.change(server, caller_of(request), lambda row: replace(row, tags=()), states=None)
        send_nothing(response)


@dataclass(frozen=True)
class OneTag:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str, tag: str) -> None:
        only_from(request, 26)
        row = await self.service.acting.own(server, caller_of(request))
        require_tag(row, tag)
        send_nothing(response)

    async def on_put(self, request: Request, response: Response, server: str, tag: str) -> None:
        only_from(request, 26)
        convert(tag, Tag)
        caller = caller_of(request)
        if tag in (await self.service.acting.own(server, caller)).tags:
            send_nothing(response)
            return

        def rule(row: Server) -> Server:
            if len(row.tags) >= MOST_TAGS:
                raise Invalid(f"The number of tags exceeded the per-server limit {MOST_TAGS}")
            return replace(row, tags=(*(known for known in row.tags if known != tag), tag))

        await self.service.acting.change(server, caller, rule, states=None)
        response.set_header("Location", eye_of(request).self_link(f"servers/{server}/tags/{tag}")["href"])
        send_nothing(response, 201)

    async def on_delete(self, request: Request, response: Response, server: str, tag: str) -> None:
        only_from(request, 26)

        def rule(row: Server) -> Server:
            require_tag(row, tag)
            return replace(row, tags=tuple(known for known in row.tags if known != tag))

        await self.service.acting.change(server, caller_of(request), rule, states=None)
        send_nothing(response)


def require_tag(server: Server, tag: str) -> None:
    if tag not in server.tags:
        raise NotFound(f"Server {server.id} has no tag '{tag}'")


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
        send(response, {"addresses": plain_addresses(row)})


@dataclass(frozen=True)
class NetworkAddresses:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str, network: str) -> None:
        row = await self.service.acting.own(server, caller_of(request))
        found = plain_addresses(row)
        if network not in found:
            raise NotFound("Network not found")
        send(response, {network: found[network]})


def plain_addresses(server: Server) -> Mapping[str, list[Mapping[str, Any]]]:
    """By network; with their versions only."""
    return {
        network: [{"version": entry["version"], "addr": entry["addr"]} for entry in entries]
        for network, entries in addresses(shown_nics(server)).items()
    }


@dataclass(frozen=True)
class ServerGroups:
    """The security groups of a server."""

    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str) -> None:
        row = await self.service.acting.own(server, caller_of(request))
        names = [entry["name"] for entry in group_names(row)]
        ids = dict(zip(names, row.security_groups, strict=False))
        groups = [
            {
                "id": ids.get(name, name),
                "name": name,
                "description": "",
                "tenant_id": row.project,
                "rules": [],
            }
            for name in names
        ]
        send(response, {"security_groups": groups})


@dataclass(frozen=True)
class Volumes:
    """There are none."""

    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str) -> None:
        await self.service.acting.own(server, caller_of(request))
        send(response, {"volumeAttachments": []})
