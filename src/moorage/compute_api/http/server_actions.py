"""POST /servers/{id}/action: what a caller does to a server that exists."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from moorage.compute_api.http.edge import caller_of, eye_of, id_of, minor_of, read_object, single
from moorage.compute_api.http.servers import seen
from moorage.compute_api.service import ComputeApiService
from moorage.compute_api.view import As
from moorage.compute_api.wanted import number
from moorage.domain.errors import Conflict, Invalid
from moorage.domain.server import ServerEvent
from moorage.kit.web import Request, Response, send, send_nothing
from moorage.wire.compute import ConsoleLength, Lock, NamedGroup, Reboot, Rebuild, ResetState
from moorage.wire.json import convert

# an action that has no argument -> what it is
PLAIN: Mapping[str, ServerEvent] = {
    "os-stop": ServerEvent.STOP,
    "os-start": ServerEvent.START,
    "pause": ServerEvent.PAUSE,
    "unpause": ServerEvent.UNPAUSE,
    "suspend": ServerEvent.SUSPEND,
    "resume": ServerEvent.RESUME,
}

Act = Callable[["Actions", Request, Response, str, Any], Awaitable[None]]


@dataclass(frozen=True)
class Actions:
    """POST /servers/{id}/action."""

    service: ComputeApiService

    async def on_post(self, request: Request, response: Response, server: str) -> None:
        name, argument = single(await read_object(request))
        await self.service.acting.own(server, caller_of(request))
        if name in PLAIN:
            await self._do(PLAIN[name], request, response, server)
        elif name in ACTS:
            await ACTS[name](self, request, response, server, argument)
        else:
            raise Invalid(f"Action '{name}' is not offered here. There are: {', '.join((*PLAIN, *ACTS))}.")

    async def reboot(self, request: Request, response: Response, server: str, argument: Any) -> None:
        kind = convert(argument, Reboot).type.upper()
        if kind not in {"SOFT", "HARD"}:
            raise Invalid(f"Invalid input for field/attribute type. Value: {kind}. It is neither SOFT nor HARD.")
        event = ServerEvent.REBOOT_SOFT if kind == "SOFT" else ServerEvent.REBOOT_HARD
        await self._do(event, request, response, server)

    async def rebuild(self, request: Request, response: Response, server: str, argument: Any) -> None:
        wanted, eye = convert(argument, Rebuild), eye_of(request)
        after = await self.service.rebuilding.rebuild(server, wanted, caller_of(request), eye.minor, id_of(request))
        view = await seen(self.service, request, after, As.UPDATED)
        if eye.minor >= 54:
            view["key_name"] = after.key_name
        if eye.minor >= 57:
            view["user_data"] = after.user_data
        if eye.minor >= 75:
            view.pop("OS-EXT-SRV-ATTR:user_data", None)
        view["adminPass"] = wanted.admin_pass if isinstance(wanted.admin_pass, str) else self.service.new_password()
        response.set_header("Location", eye.links(f"servers/{server}")[0]["href"])
        send(response, {"server": view}, 202)

    async def force_delete(self, request: Request, response: Response, server: str, _: Any) -> None:
        """As DELETE: nothing here is deleted softly."""
        await self.service.acting.delete(server, caller_of(request), id_of(request))
        send_nothing(response, 202)

    async def restore(self, request: Request, response: Response, server: str, _: Any) -> None:
        row = await self.service.acting.own(server, caller_of(request))
        raise Conflict(f"Cannot 'restore' instance {row.id} while it is in vm_state {row.life.vm}")

    async def _do(self, event: ServerEvent, request: Request, response: Response, server: str) -> None:
        await self.service.acting.do(server, event, caller_of(request), id_of(request))
        send_nothing(response, 202)

    async def add_group(self, request: Request, response: Response, server: str, argument: Any) -> None:
        await self.service.grouping.add(server, convert(argument, NamedGroup).name, caller_of(request))
        send_nothing(response, 202)

    async def remove_group(self, request: Request, response: Response, server: str, argument: Any) -> None:
        await self.service.grouping.remove(server, convert(argument, NamedGroup).name, caller_of(request))
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
    "reboot": Actions.reboot,
    "rebuild": Actions.rebuild,
    "forceDelete": Actions.force_delete,
    "restore": Actions.restore,
    "addSecurityGroup": Actions.add_group,
    "removeSecurityGroup": Actions.remove_group,
    "lock": Actions.lock,
    "unlock": Actions.unlock,
    "os-resetState": Actions.reset_state,
    "os-getConsoleOutput": Actions.console,
}
