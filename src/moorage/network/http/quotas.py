"""/quotas: how many networks, subnets, ports, groups and rules a project may have, and has."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from moorage.domain.ids import ProjectId
from moorage.kit.web import Request, Response, body_of, send, send_nothing
from moorage.network.http.resource import caller_of
from moorage.network.service import NetworkService
from moorage.wire.network import QuotaEdit, given, read_one

UNLIMITED = -1
# There are no routers, floating IPs and so on here: their limits are kept, and shown.
QUOTAS = (
    "network",
    "subnet",
    "port",
    "security_group",
    "security_group_rule",
    "router",
    "floatingip",
    "subnetpool",
    "rbac_policy",
)


def limits_of(own: Mapping[str, int]) -> Mapping[str, int]:
    """All limits of a project for which these were set."""
    return {**dict.fromkeys(QUOTAS, UNLIMITED), **own}


class AllQuotas:
    """The projects for which limits were set."""

    def __init__(self, service: NetworkService) -> None:
        self._service = service

    async def on_get(self, request: Request, response: Response) -> None:
        caller_of(request).require_admin("get_quota")
        found = await self._service.store.quotas()
        shown = [{**limits_of(own), "project_id": project, "tenant_id": project} for project, own in found.items()]
        send(response, {"quotas": shown})


class Quotas:
    def __init__(self, service: NetworkService) -> None:
        self._service = service

    async def on_get(self, request: Request, response: Response, project: str) -> None:
        _require_own(request, project)
        send(response, {"quota": limits_of(await self._service.store.quotas_of(ProjectId(project)))})

    async def on_put(self, request: Request, response: Response, project: str) -> None:
        caller_of(request).require_admin("update_quota")
        fields = given(read_one(await body_of(request), "quota", QuotaEdit))
        changes = {name: value for name, value in fields.items() if name in QUOTAS}
        await self._service.store.set_quotas(ProjectId(project), changes)
        send(response, {"quota": limits_of(await self._service.store.quotas_of(ProjectId(project)))})

    async def on_delete(self, request: Request, response: Response, project: str) -> None:
        caller_of(request).require_admin("delete_quota")
        await self._service.store.clear_quotas(ProjectId(project))
        send_nothing(response)

    async def on_get_default(self, request: Request, response: Response, project: str) -> None:
        _require_own(request, project)
        send(response, {"quota": limits_of({})})

    async def on_get_details(self, request: Request, response: Response, project: str) -> None:
        _require_own(request, project)
        caller, store = caller_of(request), self._service.store
        seen_by = caller.project if caller.project == project else None
        groups = await store.groups(seen_by)
        used = {
            "network": _count(project, await store.networks(seen_by)),
            "subnet": _count(project, await store.subnets(seen_by)),
            "port": _count(project, await store.ports(seen_by)),
            "security_group": _count(project, groups),
            "security_group_rule": _count(project, [rule for group in groups for rule in group.rules]),
        }
        limits = limits_of(await store.quotas_of(ProjectId(project)))
        details = {name: {"limit": limit, "used": used.get(name, 0), "reserved": 0} for name, limit in limits.items()}
        send(response, {"quota": details})


class _Owned(Protocol):
    @property
    def project_id(self) -> ProjectId: ...


def _count(project: str, things: Sequence[_Owned]) -> int:
    return sum(thing.project_id == project for thing in things)


def _require_own(request: Request, project: str) -> None:
    """Members may read their own project's quotas."""
    caller = caller_of(request)
    if project != caller.project:
        caller.require_admin("get_quota")
