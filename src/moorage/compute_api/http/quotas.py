"""/limits and /os-quota-sets: what a project may have, and what it has; and lists that are always empty."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import UnsetType

from moorage.compute_api import listing
from moorage.compute_api.http.edge import caller_of, minor_of, only_keys, query_of, read_body
from moorage.compute_api.limits import Limits
from moorage.compute_api.service import ComputeApiService
from moorage.compute_api.wanted import is_true, number
from moorage.domain.caller import Caller
from moorage.domain.errors import Forbidden, Invalid
from moorage.domain.ids import ProjectId
from moorage.kit.web import Request, Response, send, send_nothing
from moorage.seams.server_store import Usage
from moorage.wire.compute import QuotaSetChange, UpdateQuotas

MOST = 2**31 - 1
# key of a quota set -> the last minor version that has it
QUOTAS: Mapping[str, int] = {
    "instances": 999,
    "cores": 999,
    "ram": 999,
    "key_pairs": 999,
    "metadata_items": 999,
    "server_groups": 999,
    "server_group_members": 999,
    "fixed_ips": 35,
    "floating_ips": 35,
    "security_groups": 35,
    "security_group_rules": 35,
    "injected_files": 56,
    "injected_file_content_bytes": 56,
    "injected_file_path_bytes": 56,
}


def limits_view(limits: Limits, usage: Usage, minor: int) -> Mapping[str, int]:
    """The absolute limits of this microversion, all integers."""
    view = {
        "maxTotalInstances": limits.quota.instances,
        "maxTotalCores": limits.quota.vcpus,
        "maxTotalRAMSize": limits.quota.memory_mib,
        "maxServerMeta": limits.metadata_items,
        "maxTotalKeypairs": limits.key_pairs,
        "maxServerGroups": 0,
        "maxServerGroupMembers": 0,
        "totalInstancesUsed": usage.instances,
        "totalCoresUsed": usage.vcpus,
        "totalRAMUsed": usage.memory_mib,
        "totalServerGroupsUsed": 0,
    }
    if minor < 36:
        view |= {
            "maxSecurityGroups": -1,
            "maxSecurityGroupRules": -1,
            "maxTotalFloatingIps": -1,
            "totalFloatingIpsUsed": 0,
            "totalSecurityGroupsUsed": 0,
        }
    if minor < 39:
        view["maxImageMeta"] = limits.metadata_items
    if minor < 57:
        view |= {"maxPersonality": 0, "maxPersonalitySize": 0}
    return view


@dataclass(frozen=True)
class AbsoluteLimits:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response) -> None:
        only_keys(request, "tenant_id")
        caller = caller_of(request)
        project = caller.require_project()
        named = listing.last(query_of(request), "tenant_id")
        if named is not None and caller.is_admin:
            project = ProjectId(named)
        usage = await self.service.store.usage(project)
        absolute = limits_view(await self.service.limits_of(project), usage, minor_of(request))
        send(response, {"limits": {"rate": [], "absolute": absolute}})


@dataclass(frozen=True)
class QuotaSet:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, project: str) -> None:
        only_keys(request, "user_id")
        require_owner(caller_of(request), project)
        limits = await self.service.limits_of(ProjectId(project))
        send(response, {"quota_set": {"id": project, **shown(limits, minor_of(request))}})

    async def on_put(self, request: Request, response: Response, project: str) -> None:
        """Set some limits; one below what the project has only by `force`."""
        caller_of(request).require_admin("os_compute_api:os-quota-sets:update")
        refuse_user(request)
        body = (await read_body(request, UpdateQuotas)).quota_set
        changes = given_limits(body, minor_of(request))
        if not is_true(body.force):
            require_room(changes, await self.service.store.usage(ProjectId(project)))
        await self.service.store.set_quotas(ProjectId(project), changes)
        limits = await self.service.limits_of(ProjectId(project))
        send(response, {"quota_set": shown(limits, minor_of(request))})

    async def on_delete(self, request: Request, response: Response, project: str) -> None:
        caller_of(request).require_admin("os_compute_api:os-quota-sets:delete")
        refuse_user(request)
        await self.service.store.clear_quotas(ProjectId(project))
        send_nothing(response, 202)


@dataclass(frozen=True)
class QuotaDefaults:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, project: str) -> None:
        send(response, {"quota_set": {"id": project, **shown(self.service.limits, minor_of(request))}})


@dataclass(frozen=True)
class QuotaDetail:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, project: str) -> None:
        require_owner(caller_of(request), project)
        usage = await self.service.store.usage(ProjectId(project))
        used = used_by_name(usage)
        limits = await self.service.limits_of(ProjectId(project))
        detail: Mapping[str, Any] = {
            key: {"limit": limit, "in_use": used.get(key, 0), "reserved": 0}
            for key, limit in shown(limits, minor_of(request)).items()
        }
        send(response, {"quota_set": {"id": project, **detail}})


def shown(limits: Limits, minor: int) -> Mapping[str, int]:
    return {key: value for key, value in limits.by_name().items() if minor <= QUOTAS[key]}


def used_by_name(usage: Usage) -> Mapping[str, int]:
    return {"instances": usage.instances, "cores": usage.vcpus, "ram": usage.memory_mib}


def given_limits(body: QuotaSetChange, minor: int) -> Mapping[str, int]:
    """The limits in a change. Raises Invalid."""
    changes: dict[str, int] = {}
    for name, last in QUOTAS.items():
        value = getattr(body, name)
        if isinstance(value, UnsetType):
            continue
        if minor > last:
            raise Invalid(f"Additional properties are not allowed ('{name}' was unexpected)")
        changes[name] = number(value, name)
        if not -1 <= changes[name] <= MOST:
            raise Invalid(f"Invalid input for field/attribute {name}. Value: {value}. A limit is -1 to {MOST}.")
    return changes


def require_room(changes: Mapping[str, int], usage: Usage) -> None:
    """Raises Invalid for a limit below what the project has."""
    for name, used in used_by_name(usage).items():
        if 0 <= changes.get(name, -1) < used:
            raise Invalid(f"Quota limit {changes[name]} for {name} must not be below the {used} that are used already.")


def refuse_user(request: Request) -> None:
    """Raises Invalid for a change of one user's limits."""
    if "user_id" in request.params:
        raise Invalid("Single users have no limits of their own here: leave user_id out.")


def require_owner(caller: Caller, project: str) -> None:
    """Raises Forbidden unless the quotas are the caller's own project's, or the caller is an admin."""
    if not caller.is_admin and caller.project != project:
        raise Forbidden("Policy doesn't allow os_compute_api:os-quota-sets:show to be performed.")


@dataclass(frozen=True)
class EmptyList:
    """Things that are asked about and that there are none of."""

    name: str
    is_for_admins: bool = False

    async def on_get(self, request: Request, response: Response) -> None:
        if self.is_for_admins:
            caller_of(request).require_admin(f"os_compute_api:{self.name}:index")
        send(response, {self.name: []})
