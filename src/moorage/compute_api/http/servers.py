"""/servers: asked for, listed, shown, renamed, acted on, deleted."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from moorage.compute_api import listing
from moorage.compute_api.http.edge import (
    caller_of,
    eye_of,
    id_of,
    minor_of,
    next_link,
    query_of,
    read_body,
)
from moorage.compute_api.service import ComputeApiService
from moorage.compute_api.view import As, Json, group_names, host_status_of, server_summary, server_view
from moorage.compute_api.wanted import changes_of, is_true
from moorage.domain.caller import Caller
from moorage.domain.ids import ProjectId
from moorage.domain.server import Server
from moorage.kit.web import Request, Response, send, send_nothing
from moorage.seams.server_store import ServerQuery
from moorage.wire.compute import CreateServer, UpdateServer


@dataclass(frozen=True)
class Servers:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response) -> None:
        eye = eye_of(request)
        servers, is_more = await listed(self.service, request)
        body: dict[str, Any] = {"servers": [server_summary(server, eye) for server in servers]}
        if is_more and servers:
            body["servers_links"] = [next_link(request, servers[-1].id)]
        send(response, body)

    async def on_post(self, request: Request, response: Response) -> None:
        body = await read_body(request, CreateServer)
        eye = eye_of(request)
        servers = await self.service.asking.ask(body, caller_of(request), eye.minor, id_of(request))
        first = servers[0]
        if is_true(body.server.return_reservation_id):
            send(response, {"reservation_id": first.reservation_id}, 202)
            return
        links = eye.links(f"servers/{first.id}")
        given = body.server.admin_pass
        view = {
            "id": first.id,
            "links": links,
            "OS-DCF:diskConfig": first.disk_config,
            "security_groups": group_names(first) or [{"name": "default"}],
            "adminPass": given if isinstance(given, str) else self.service.new_password(),
        }
        response.set_header("Location", links[0]["href"])
        send(response, {"server": view}, 202)


@dataclass(frozen=True)
class ServersDetail:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response) -> None:
        eye = eye_of(request)
        servers, is_more = await listed(self.service, request)
        statuses = await host_statuses(self.service, request)
        body: dict[str, Any] = {
            "servers": [server_view(server, eye, As.LISTED, statuses.get(server.host or "", "")) for server in servers]
        }
        if is_more and servers:
            body["servers_links"] = [next_link(request, servers[-1].id)]
        send(response, body)


@dataclass(frozen=True)
class OneServer:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str) -> None:
        await self._show(request, response, await self.service.acting.own(server, caller_of(request)), As.SHOWN)

    async def on_put(self, request: Request, response: Response, server: str) -> None:
        change = (await read_body(request, UpdateServer)).server
        changes = changes_of(change, minor_of(request))
        after = await self.service.acting.change(
            server, caller_of(request), lambda row: replace(row, **changes), states=None
        )
        await self._show(request, response, after, As.UPDATED)

    async def on_delete(self, request: Request, response: Response, server: str) -> None:
        await self.service.acting.delete(server, caller_of(request), id_of(request))
        send_nothing(response)

    async def _show(self, request: Request, response: Response, server: Server, place: As) -> None:
        send(response, {"server": await seen(self.service, request, server, place)})


async def seen(service: ComputeApiService, request: Request, server: Server, place: As) -> Json:
    """A server as this caller sees it."""
    statuses = await host_statuses(service, request)
    return server_view(server, eye_of(request), place, statuses.get(server.host or "", ""))


async def host_statuses(service: ComputeApiService, request: Request) -> Mapping[str, str]:
    """How each host is, for admins from 2.16 on; nobody else sees it."""
    if not caller_of(request).is_admin or minor_of(request) < 16:
        return {}
    now = service.clock.now()
    return {host.state.name: host_status_of(host.state, now) for host in await service.store.hosts()}


async def listed(service: ComputeApiService, request: Request) -> tuple[list[Server], bool]:
    """The page of servers that a request asks for, and whether there are more."""
    caller = caller_of(request)
    wanted = listing.understood(query_of(request), minor_of(request), is_admin=caller.is_admin)
    project = project_of(wanted, caller)
    query = ServerQuery(project=project, is_deleted=wanted.is_deleted, changed_since=wanted.changed_since)
    if not wanted.tests and not wanted.sorts and wanted.marker is None:
        found = await service.store.list(replace(query, limit=wanted.limit + 1))
    else:
        found = listing.chosen(await service.store.list(query), wanted)
    servers, is_more = listing.page(found, wanted.marker, wanted.limit)
    return list(servers), is_more


def project_of(wanted: listing.Wanted, caller: Caller) -> ProjectId | None:
    if wanted.is_all_tenants:
        return ProjectId(wanted.project) if wanted.project else None
    return caller.require_project()
