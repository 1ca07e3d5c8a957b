"""The bindings API (binding-extended), as far as a port with one host needs it."""

from typing import Any

from moorage.domain.caller import Caller
from moorage.domain.errors import Conflict, Invalid, NotFound
from moorage.domain.port import Port, VifType
from moorage.kit.web import Request, Response, body_of, send, send_nothing
from moorage.network.http.resource import caller_of, require_service
from moorage.network.http.views import binding_view
from moorage.network.ports import Ports
from moorage.wire.errors import HttpFault
from moorage.wire.network import BindingEdit, BindingNew, PortEdit, given, read_one


class Bindings:
    """A port has at most one binding, the active one. A second (live migration) cannot be made."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def on_get(self, request: Request, response: Response, thing: str) -> None:
        found = await self._of_compute(request, thing)
        send(response, {"bindings": [binding_view(found.binding, found)] if found.binding.host else []})

    async def on_post(self, request: Request, response: Response, thing: str) -> None:
        found = await self._of_compute(request, thing)
        body = read_one(await body_of(request), "binding", BindingNew)
        if found.binding.host == body.host:
            raise Conflict(
                f"Binding for port {thing} on host {body.host} already exists.", kind="PortBindingAlreadyExists"
            )
        if found.binding.host:
            raise _refused(thing, body.host, "a port here has one host")
        bound = await self._bind(caller_of(request), found, {"host_id": body.host, **given(body)})
        if bound.binding.vif_type is VifType.BINDING_FAILED:
            await self._bind(caller_of(request), bound, {"host_id": None})
            raise _refused(thing, body.host, "no live agent is there")
        send(response, {"binding": binding_view(bound.binding, bound)}, 201)

    async def on_get_one(self, request: Request, response: Response, thing: str, host: str) -> None:
        found = await self._on(request, thing, host)
        send(response, {"binding": binding_view(found.binding, found)})

    async def on_put_one(self, request: Request, response: Response, thing: str, host: str) -> None:
        found = await self._on(request, thing, host)
        body = read_one(await body_of(request), "binding", BindingEdit)
        bound = await self._bind(caller_of(request), found, given(body))
        send(response, {"binding": binding_view(bound.binding, bound)})

    async def on_put_activate(self, request: Request, response: Response, thing: str, host: str) -> None:
        await self._on(request, thing, host)
        raise Conflict(f"Binding for port {thing} on host {host} is already active.", kind="PortBindingAlreadyActive")

    async def on_delete_one(self, request: Request, response: Response, thing: str, host: str) -> None:
        found = await self._on(request, thing, host)
        await self._bind(caller_of(request), found, {"host_id": None, "profile": {}})
        send_nothing(response)

    async def _bind(self, caller: Caller, port: Port, fields: dict[str, Any]) -> Port:
        fields.pop("host", None)
        return await self._ports.update(caller, port.id, PortEdit(**fields), None)

    async def _of_compute(self, request: Request, port: str) -> Port:
        """Raises Invalid for a port that no server has."""
        require_service(caller_of(request), "get_port_binding")
        found = await self._ports.show(caller_of(request), port)
        if not found.device_owner.startswith("compute:"):
            raise Invalid(f"Port {port} is not owned by compute: it has no bindings here.", kind="BadRequest")
        return found

    async def _on(self, request: Request, thing: str, host: str) -> Port:
        found = await self._of_compute(request, thing)
        if found.binding.host != host:
            raise NotFound(f"Binding for port {thing} for host {host} could not be found.", kind="PortBindingNotFound")
        return found


def _refused(port: str, host: str, why: str) -> HttpFault:
    fault = HttpFault(500, f"Binding for port {port} on host {host} could not be created or updated: {why}.")
    fault.kind = "PortBindingError"
    return fault
