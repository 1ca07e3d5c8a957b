"""/servers: asked for, listed, shown, renamed, acted on, deleted."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from msgspec import UNSET

from moorage.compute_api import listing
from moorage.compute_api.http.edge import (
    caller_of,
    eye_of,
    id_of,
    minor_of,
    next_link,
    query_of,
    read_body,
    read_object,
    single,
)
from moorage.compute_api.service import ComputeApiService
from moorage.compute_api.view import As, group_names, host_status_of, server_summary, server_view
from moorage.compute_api.wanted import checked_v4, checked_v6, is_true, number, require_hostname
from moorage.domain.caller import Caller
from moorage.domain.errors import Invalid
from moorage.domain.ids import ProjectId
from moorage.domain.server import Server, ServerEvent
from moorage.kit.web import Request, Response, send, send_nothing
from moorage.seams.server_store import ServerQuery
from moorage.wire.compute import ConsoleLength, CreateServer, Lock, Reboot, ResetState, ServerChange, UpdateServer
from moorage.wire.json import convert


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
            "adminPass": given if isinstance(given, str) else self.service.new_id().replace("-", "")[:12],
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
        minor, caller = minor_of(request), caller_of(request)
        for key, first in (("description", 19), ("hostname", 90)):
            if getattr(change, key) is not UNSET and minor < first:
                raise Invalid(f"Additional properties are not allowed ('{key}' was unexpected)")
        require_hostname(change.hostname, minor)
        changes = changes_of(change)
        after = await self.service.acting.change(server, caller, lambda row: replace(row, **changes), states=None)
        await self._show(request, response, after, As.UPDATED)

    async def on_delete(self, request: Request, response: Response, server: str) -> None:
        await self.service.acting.delete(server, caller_of(request), id_of(request))
        send_nothing(response)

    async def _show(self, request: Request, response: Response, server: Server, place: As) -> None:
        statuses = await host_statuses(self.service, request)
        send(response, {"server": server_view(server, eye_of(request), place, statuses.get(server.host or "", ""))})


def changes_of(change: ServerChange) -> Mapping[str, Any]:
    """The fields that a PUT changes. Raises Invalid."""
    given = {key: getattr(change, key) for key in ("name", "description", "hostname", "disk_config")}
    changes = {key: value for key, value in given.items() if value is not UNSET}
    if "name" in changes and (not changes["name"].strip() or not changes["name"].isprintable()):
        raise Invalid("Invalid input for field/attribute name.")
    for key, checked in (("access_ip_v4", checked_v4), ("access_ip_v6", checked_v6)):
        value = getattr(change, key)
        if value is not UNSET:
            changes[key] = checked(value)
    return changes


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


Act = Callable[["Actions", Request, Response, str, Any], Awaitable[None]]


@dataclass(frozen=True)
class Actions:
    """POST /servers/{id}/action."""

    service: ComputeApiService

    async def on_post(self, request: Request, response: Response, server: str) -> None:
        name, argument = single(await read_object(request))
        act = ACTS.get(name)
        await self.service.acting.own(server, caller_of(request))
        if act is None:
            raise Invalid(f"Action '{name}' is not offered here. There are: {', '.join(ACTS)}.")
        await act(self, request, response, server, argument)

    async def stop(self, request: Request, response: Response, server: str, _: Any) -> None:
        await self._do(ServerEvent.STOP, request, response, server)

    async def start(self, request: Request, response: Response, server: str, _: Any) -> None:
        await self._do(ServerEvent.START, request, response, server)

    async def reboot(self, request: Request, response: Response, server: str, argument: Any) -> None:
        kind = convert(argument, Reboot).type.upper()
        if kind not in {"SOFT", "HARD"}:
            raise Invalid(f"Invalid input for field/attribute type. Value: {kind}. It is neither SOFT nor HARD.")
        event = ServerEvent.REBOOT_SOFT if kind == "SOFT" else ServerEvent.REBOOT_HARD
        await self._do(event, request, response, server)

    async def pause(self, request: Request, response: Response, server: str, _: Any) -> None:
        await self._do(ServerEvent.PAUSE, request, response, server)

    async def unpause(self, request: Request, response: Response, server: str, _: Any) -> None:
        await self._do(ServerEvent.UNPAUSE, request, response, server)

    async def suspend(self, request: Request, response: Response, server: str, _: Any) -> None:
        await self._do(ServerEvent.SUSPEND, request, response, server)

    async def resume(self, request: Request, response: Response, server: str, _: Any) -> None:
        await self._do(ServerEvent.RESUME, request, response, server)

    async def _do(self, event: ServerEvent, request: Request, response: Response, server: str) -> None:
        await self.service.acting.do(server, event, caller_of(request), id_of(request))
        send_nothing(response, 202)

    async def lock(self, request: Request, response: Response, server: str, argument: Any) -> None:
        reason = None
        if argument is not None and minor_of(request) >= 73:
            given = convert(argument, Lock).locked_reason
            reason = given if isinstance(given, str) else None
        await self.service.acting.lock(server, caller_of(request), id_of(request), reason)
        send_nothing(response, 202)

    async def unlock(self, request: Request, response: Response, server: str, _: Any) -> None:
        await self.service.acting.unlock(server, caller_of(request), id_of(request))
        send_nothing(response, 202)

    async def reset_state(self, request: Request, response: Response, server: str, argument: Any) -> None:
        caller = caller_of(request)
        caller.require_admin("os_compute_api:os-admin-actions:reset_state")
        state = convert(argument, ResetState).state
        await self.service.acting.reset(server, caller, id_of(request), is_active=state == "active")
        send_nothing(response, 202)

    async def console(self, request: Request, response: Response, server: str, argument: Any) -> None:
        length = convert(argument if argument is not None else {}, ConsoleLength).length
        lines = number(length, "length") if length is not None else None
        if lines is not None and lines < -1:
            raise Invalid(f"Invalid input for field/attribute length. Value: {length}. It is below -1.")
        send(response, {"output": await self.service.acting.console(server, caller_of(request), lines)})


ACTS: Mapping[str, Act] = {
    "os-stop": Actions.stop,
    "os-start": Actions.start,
    "reboot": Actions.reboot,
    "pause": Actions.pause,
    "unpause": Actions.unpause,
    "suspend": Actions.suspend,
    "resume": Actions.resume,
    "lock": Actions.lock,
    "unlock": Actions.unlock,
    "os-resetState": Actions.reset_state,
    "os-getConsoleOutput": Actions.console,
}
