"""Roles granted to users and groups on projects, domains and the system, over HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import falcon.asgi

from moorage.domain.errors import NotFound
from moorage.domain.identity import (
    WHOLE_SYSTEM,
    Domain,
    Grant,
    Group,
    GroupGrant,
    Project,
    Role,
    Scope,
    ScopeKind,
    User,
)
from moorage.identity.catalog import Places
from moorage.identity.directory import Directory
from moorage.identity.http.callers import base_url, caller_of, is_asked, require_admin, require_reader
from moorage.identity.service import IdentityService
from moorage.identity.views import assignment_view, listed, role_view
from moorage.kit.web import Request, Response, send, send_nothing
from moorage.seams.identity_store import AnyGrant, IdentityStore

Holder = type[User] | type[Group]


def add_grants(app: falcon.asgi.App[Request, Response], service: IdentityService, places: Places) -> None:
    for kind, place in (
        (ScopeKind.PROJECT, "/v3/projects/{id}"),
        (ScopeKind.DOMAIN, "/v3/domains/{id}"),
        (ScopeKind.SYSTEM, "/v3/system"),
    ):
        for holder, word in ((User, "users"), (Group, "groups")):
            path = f"{place}/{word}/{{who}}/roles"
            app.add_route(path, _Granted(service, places, kind, holder))
            app.add_route(f"{path}/{{role}}", _Grant(service, kind, holder))
    app.add_route("/v3/role_assignments", _Assignments(service, places))


async def held_by(
    store: IdentityStore, holder: Holder, who: str, scope: Scope, role: str | None = None
) -> Sequence[AnyGrant]:
    """What was granted to one user, or to one group."""
    if holder is User:
        return await store.grants(user=who, scope=scope, role=role)
    return await store.group_grants(group=who, scope=scope, role=role)


@dataclass(frozen=True)
class _Granted:
    service: IdentityService
    places: Places
    kind: ScopeKind
    holder: Holder

    async def on_get(self, request: Request, response: Response, who: str, id: str = WHOLE_SYSTEM) -> None:
        require_reader(caller_of(request), "identity:list_grants")
        store = self.service.store
        if self.holder is User:
            await store.get(User, who)
        else:
            await store.get(Group, who)
        if self.kind is ScopeKind.PROJECT:
            await store.get(Project, id)
        elif self.kind is ScopeKind.DOMAIN:
            await store.get(Domain, id)
        held = {grant.role_id for grant in await held_by(store, self.holder, who, Scope(self.kind, id))}
        base = base_url(request, self.places)
        views = [role_view(role, base) for role in await store.find(Role) if role.id in held]
        send(response, listed("roles", views, base, request.path.removeprefix("/v3")))


@dataclass(frozen=True)
class _Grant:
    service: IdentityService
    kind: ScopeKind
    holder: Holder

    def _grant(self, who: str, role: str, id: str) -> AnyGrant:
        scope = Scope(self.kind, id)
        return Grant(who, role, scope) if self.holder is User else GroupGrant(who, role, scope)

    async def on_put(self, request: Request, response: Response, who: str, role: str, id: str = WHOLE_SYSTEM) -> None:
        require_admin(caller_of(request), "identity:create_grant")
        await self.service.store.grant(self._grant(who, role, id))
        send_nothing(response)

    async def on_head(self, request: Request, response: Response, who: str, role: str, id: str = WHOLE_SYSTEM) -> None:
        """Also for GET, as in Keystone."""
        require_reader(caller_of(request), "identity:check_grant")
        if not await held_by(self.service.store, self.holder, who, Scope(self.kind, id), role):
            raise NotFound(f"Could not find role assignment with role: {role}, {self.holder.__name__.lower()}: {who}.")
        send_nothing(response)

    on_get = on_head

    async def on_delete(
        self, request: Request, response: Response, who: str, role: str, id: str = WHOLE_SYSTEM
    ) -> None:
        require_admin(caller_of(request), "identity:revoke_grant")
        await Directory(self.service).withdraw(self._grant(who, role, id))
        send_nothing(response)


@dataclass(frozen=True)
class _Assignments:
    service: IdentityService
    places: Places

    async def on_get(self, request: Request, response: Response) -> None:
        caller = caller_of(request)
        require_reader(caller, "identity:list_role_assignments")
        base = base_url(request, self.places)
        views = await self._views(request, base)
        if is_asked(request, "include_names"):
            await self._name(views)
        query = f"?{request.query_string}" if request.query_string else ""
        send(response, listed("role_assignments", views, base, f"/role_assignments{query}"))

    async def _views(self, request: Request, base: str) -> list[dict[str, Any]]:
        """The assignments asked for; with ?effective those of groups are told as their members' own."""
        user, group, role = (request.get_param(f"{word}.id") for word in ("user", "group", "role"))
        scope, store = _scope_of(request), self.service.store
        own = await store.grants(user=user, scope=scope, role=role) if group is None else ()
        views = [assignment_view(grant, base) for grant in own]
        is_effective = is_asked(request, "effective")
        theirs = await store.group_grants(group=group, scope=scope, role=role) if user is None or is_effective else ()
        if not is_effective:
            return views + [assignment_view(grant, base) for grant in theirs]
        members = {grant.group_id: await store.members(grant.group_id) for grant in theirs}
        return views + [
            assignment_view(grant, base, member.id)
            for grant in theirs
            for member in members[grant.group_id]
            if user in (None, member.id)
        ]

    async def _name(self, views: list[dict[str, Any]]) -> None:
        """Add the names of all that the assignments mention."""
        store = self.service.store
        domains = {domain.id: domain for domain in await store.find(Domain)}
        projects = {project.id: project for project in await store.find(Project)}
        holders: dict[str, User | Group] = {user.id: user for user in await store.find(User)}
        holders |= {group.id: group for group in await store.find(Group)}
        roles = {role.id: role for role in await store.find(Role)}

        def owner(domain_id: str) -> dict[str, str]:
            return {"id": domain_id, "name": domains[domain_id].name if domain_id in domains else ""}

        for view in views:
            shown = view.get("user") or view["group"]
            if (holder := holders.get(shown["id"])) is not None:
                shown |= {"name": holder.name, "domain": owner(holder.domain_id)}
            if (role := roles.get(view["role"]["id"])) is not None:
                view["role"] |= {"name": role.name}
            scope = view["scope"]
            if "project" in scope and (project := projects.get(scope["project"]["id"])) is not None:
                scope["project"] |= {"name": project.name, "domain": owner(project.domain_id)}
            elif "domain" in scope:
                scope["domain"] = owner(scope["domain"]["id"])


def _scope_of(request: Request) -> Scope | None:
    """The scope that a query asks for."""
    project, domain = request.get_param("scope.project.id"), request.get_param("scope.domain.id")
    if project is not None:
        return Scope(ScopeKind.PROJECT, project)
    if domain is not None:
        return Scope(ScopeKind.DOMAIN, domain)
    return Scope(ScopeKind.SYSTEM, WHOLE_SYSTEM) if request.get_param("scope.system") is not None else None
