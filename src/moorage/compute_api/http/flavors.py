"""/flavors: the sizes of servers, who may use them, and their extra specs."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, nan
from typing import Any

from msgspec import UnsetType

from moorage.compute_api import listing
from moorage.compute_api.http.edge import (
    caller_of,
    eye_of,
    minor_of,
    next_link,
    only_keys,
    query_of,
    read_body,
    read_object,
    single,
)
from moorage.compute_api.service import ComputeApiService
from moorage.compute_api.view import Eye, flavor_summary, flavor_view
from moorage.compute_api.wanted import is_true, number
from moorage.domain.errors import Conflict, Invalid, NotFound
from moorage.domain.ids import FlavorId, ProjectId
from moorage.domain.server import Flavor
from moorage.kit.web import Request, Response, send, send_nothing
from moorage.wire.compute import CreateFlavor, ExtraSpecs, FlavorWanted, TenantAccess, UpdateFlavor
from moorage.wire.json import convert

MOST = 2**31 - 1
SORT_KEYS: Mapping[str, Callable[[Flavor], Any]] = {
    "flavorid": lambda flavor: flavor.id,
    "id": lambda flavor: flavor.id,
    "name": lambda flavor: flavor.name,
    "memory_mb": lambda flavor: flavor.ram,
    "root_gb": lambda flavor: flavor.disk,
    "vcpus": lambda flavor: flavor.vcpus,
    "ephemeral_gb": lambda flavor: flavor.ephemeral,
    "swap": lambda flavor: flavor.swap,
    "is_public": lambda flavor: flavor.is_public,
    "rxtx_factor": lambda flavor: flavor.rxtx_factor,
    "disabled": lambda _: False,
    "created_at": lambda flavor: flavor.id,
    "updated_at": lambda flavor: flavor.id,
    "vcpu_weight": lambda _: 0,
}


@dataclass(frozen=True)
class Flavors:
    service: ComputeApiService
    is_detail: bool = False

    async def on_get(self, request: Request, response: Response) -> None:
        only_keys(request, "limit marker is_public minRam minDisk sort_key sort_dir")
        eye, (flavors, is_more) = eye_of(request), await listed(self.service, request)
        view: Callable[[Flavor, Eye], dict[str, Any]] = flavor_view if self.is_detail else flavor_summary
        body: dict[str, Any] = {"flavors": [view(flavor, eye) for flavor in flavors]}
        if is_more and flavors:
            body["flavors_links"] = [next_link(request, flavors[-1].id)]
        send(response, body)

    async def on_post(self, request: Request, response: Response) -> None:
        caller_of(request).require_admin("os_compute_api:os-flavor-manage:create")
        wanted = (await read_body(request, CreateFlavor)).flavor
        if minor_of(request) < 55 and not isinstance(wanted.description, UnsetType):
            raise Invalid("Additional properties are not allowed ('description' was unexpected)")
        flavor = made(wanted, self.service.new_id())
        await self.service.store.add_flavor(flavor)
        send(response, {"flavor": flavor_view(flavor, eye_of(request))})


def made(wanted: FlavorWanted, new_id: str) -> Flavor:
    """The flavor that is asked for. Raises Invalid."""
    flavor_id = str(wanted.id) if wanted.id not in (None, "auto") else new_id
    if not re.fullmatch(r"[a-zA-Z0-9. _-]{1,255}", flavor_id) or flavor_id != flavor_id.strip():
        raise Invalid(f"Invalid input for field/attribute id. Value: {flavor_id}.")
    if not wanted.name.isprintable() or wanted.name != wanted.name.strip():
        raise Invalid(f"Invalid input for field/attribute name. Value: {wanted.name}.")
    try:
        factor = float(wanted.rxtx_factor if wanted.rxtx_factor is not None else 1.0)
    except ValueError:
        factor = nan
    if not 0 < factor < inf:
        raise Invalid(f"Invalid input for field/attribute rxtx_factor. Value: {wanted.rxtx_factor}.")
    return Flavor(
        id=FlavorId(flavor_id),
        name=wanted.name,
        vcpus=within(wanted.vcpus, "vcpus", 1),
        ram=within(wanted.ram, "ram", 1),
        disk=within(wanted.disk, "disk", 0),
        ephemeral=within(wanted.ephemeral or 0, "OS-FLV-EXT-DATA:ephemeral", 0),
        swap=within(wanted.swap or 0, "swap", 0),
        rxtx_factor=factor,
        is_public=is_true(wanted.is_public),
        description=wanted.description if isinstance(wanted.description, str) else None,
    )


def within(value: int | str, name: str, least: int) -> int:
    found = number(value, name)
    if not least <= found <= MOST:
        raise Invalid(f"Invalid input for field/attribute {name}. Value: {value}. It is not within {least}..{MOST}.")
    return found


async def listed(service: ComputeApiService, request: Request) -> tuple[Sequence[Flavor], bool]:
    """The page of flavors that a request asks for, and whether there are more."""
    caller, query = caller_of(request), query_of(request)
    word = listing.last(query, "is_public")
    wanted: bool | None = True
    if word is not None and caller.is_admin:
        wanted = None if word.lower() == "none" else is_true(word)
    least_disk = number(listing.last(query, "minDisk") or "0", "minDisk")
    least_ram = number(listing.last(query, "minRam") or "0", "minRam")
    flavors = [
        flavor
        for flavor in await service.store.flavors()
        if flavor.disk >= least_disk
        and flavor.ram >= least_ram
        and (wanted is None or flavor.is_public is wanted or not caller.is_admin)
        and (caller.is_admin or await is_seen(service, flavor, caller.project))
    ]
    key = listing.last(query, "sort_key") or "flavorid"
    direction = listing.last(query, "sort_dir") or "asc"
    if key not in SORT_KEYS or direction not in {"asc", "desc"}:
        raise Invalid(f"Invalid input for query parameters sort_key, sort_dir: {key}, {direction}.")
    flavors.sort(key=SORT_KEYS[key], reverse=direction == "desc")
    marker, limit = listing.last(query, "marker"), listing.limit_of(query)
    if marker is not None:
        index = next((index for index, flavor in enumerate(flavors) if flavor.id == marker), None)
        if index is None:
            raise Invalid(f"marker [{marker}] not found")
        flavors = flavors[index + 1 :]
    return flavors[:limit], len(flavors) > limit


async def is_seen(service: ComputeApiService, flavor: Flavor, project: ProjectId | None) -> bool:
    return flavor.is_public or (project is not None and project in await service.store.flavor_access(flavor.id))


async def seen(service: ComputeApiService, request: Request, flavor: str) -> Flavor:
    """A flavor that the caller may see. Raises NotFound."""
    caller = caller_of(request)
    found = await service.store.flavor(FlavorId(flavor))
    if not caller.is_admin and not await is_seen(service, found, caller.project):
        raise NotFound(f"Flavor {flavor} could not be found.")
    return found


@dataclass(frozen=True)
class OneFlavor:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, flavor: str) -> None:
        send(response, {"flavor": flavor_view(await seen(self.service, request, flavor), eye_of(request))})

    async def on_put(self, request: Request, response: Response, flavor: str) -> None:
        """Its description, from 2.55 on."""
        if minor_of(request) < 55:
            raise NotFound("The resource could not be found.")
        caller_of(request).require_admin("os_compute_api:os-flavor-manage:update")
        description = (await read_body(request, UpdateFlavor)).flavor.description
        after = await self.service.store.update_flavor(
            FlavorId(flavor), lambda row: replace(row, description=description)
        )
        send(response, {"flavor": flavor_view(after, eye_of(request))})

    async def on_delete(self, request: Request, response: Response, flavor: str) -> None:
        caller_of(request).require_admin("os_compute_api:os-flavor-manage:delete")
        await self.service.store.delete_flavor(FlavorId(flavor))
        send_nothing(response, 202)


@dataclass(frozen=True)
class FlavorSpecs:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, flavor: str) -> None:
        send(response, {"extra_specs": dict((await seen(self.service, request, flavor)).extra_specs)})

    async def on_post(self, request: Request, response: Response, flavor: str) -> None:
        caller_of(request).require_admin("os_compute_api:os-flavor-extra-specs:create")
        given = specs_of((await read_body(request, ExtraSpecs)).extra_specs)
        after = await self.service.store.update_flavor(
            FlavorId(flavor), lambda row: replace(row, extra_specs={**row.extra_specs, **given})
        )
        send(response, {"extra_specs": {key: after.extra_specs[key] for key in given}})


def specs_of(given: Mapping[str, str | float]) -> Mapping[str, str]:
    """Raises Invalid for keys with signs that are not allowed."""
    for key in given:
        if not re.fullmatch(r"[a-zA-Z0-9-_:. ]{1,255}", key):
            raise Invalid(f"Invalid input for field/attribute extra_specs: the key {key!r}.")
    return {key: str(value) for key, value in given.items()}


@dataclass(frozen=True)
class OneFlavorSpec:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, flavor: str, key: str) -> None:
        specs = (await seen(self.service, request, flavor)).extra_specs
        require_spec(specs, flavor, key)
        send(response, {key: specs[key]})

    async def on_put(self, request: Request, response: Response, flavor: str, key: str) -> None:
        caller_of(request).require_admin("os_compute_api:os-flavor-extra-specs:update")
        body = await read_object(request)
        if set(body) != {key}:
            raise Invalid("Request body and URI mismatch")
        given = specs_of(convert({"extra_specs": body}, ExtraSpecs).extra_specs)
        await self.service.store.update_flavor(
            FlavorId(flavor), lambda row: replace(row, extra_specs={**row.extra_specs, **given})
        )
        send(response, dict(given))

    async def on_delete(self, request: Request, response: Response, flavor: str, key: str) -> None:
        caller_of(request).require_admin("os_compute_api:os-flavor-extra-specs:delete")

        def without(row: Flavor) -> Flavor:
            require_spec(row.extra_specs, flavor, key)
            return replace(row, extra_specs={name: value for name, value in row.extra_specs.items() if name != key})

        await self.service.store.update_flavor(FlavorId(flavor), without)
        send_nothing(response, 200)


def require_spec(specs: Mapping[str, str], flavor: str, key: str) -> None:
    if key not in specs:
        raise NotFound(f"Flavor {flavor} has no extra specs with key {key}.")


@dataclass(frozen=True)
class FlavorAccess:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, flavor: str) -> None:
        caller_of(request).require_admin("os_compute_api:os-flavor-access")
        found = await self.service.store.flavor(FlavorId(flavor))
        if found.is_public:
            raise NotFound("Access list not available for public flavors.")
        await send_access(self.service, response, found.id)


@dataclass(frozen=True)
class FlavorActions:
    service: ComputeApiService

    async def on_post(self, request: Request, response: Response, flavor: str) -> None:
        caller_of(request).require_admin("os_compute_api:os-flavor-access:add_tenant_access")
        name, argument = single(await read_object(request))
        found = await self.service.store.flavor(FlavorId(flavor))
        match name:
            case "addTenantAccess":
                project = ProjectId(convert(argument, TenantAccess).tenant)
                if found.is_public:
                    raise Conflict("Can not add access to a public flavor.")
                await self.service.store.grant_flavor(found.id, project)
            case "removeTenantAccess":
                project = ProjectId(convert(argument, TenantAccess).tenant)
                await self.service.store.revoke_flavor(found.id, project)
            case _:
                raise Invalid(f"There is no such action: {name}")
        await send_access(self.service, response, found.id)


async def send_access(service: ComputeApiService, response: Response, flavor: FlavorId) -> None:
    projects = await service.store.flavor_access(flavor)
    send(response, {"flavor_access": [{"flavor_id": flavor, "tenant_id": project} for project in projects]})
