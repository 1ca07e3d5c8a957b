"""Roles granted to users on projects, domains and the system, over HTTP."""

from dataclasses import dataclass
from typing import Any

import falcon.asgi

from moorage.domain.errors import NotFound
from moorage.domain.identity import WHOLE_SYSTEM, Domain, Grant, Project, Role, Scope, ScopeKind, User
from moorage.identity.catalog import Places
from moorage.identity.directory import Directory
from moorage.identity.http.callers import base_url, caller_of, is_asked, require_admin, require_reader
from moorage.identity.service import IdentityService
from moorage.identity.views import assignment_view, listed, role_view
from moorage.kit.web import Request, Response, send, send_nothing


def add_grants(app: falcon.asgi.App[Request, Response], service: IdentityService, places: Places) -> None:
    for kind, path in (
        (ScopeKind.PROJECT, "/v3/projects/{id}/users/{user}/roles"),
        (ScopeKind.DOMAIN, "/v3/domains/{id}/users/{user}/roles"),
        (ScopeKind.SYSTEM, "/v3/system/users/{user}/roles"),
    ):
        app.add_route(path, _Granted(service, places, kind))
        app.add_route(f"{path}/{{role}}", _Grant(service, kind))
    app.add_route("/v3/role_assignments", _Assignments(service, places))


@dataclass(frozen=True)
class _Granted:
    service: IdentityService
    places: Places
    kind: ScopeKind

    async def on_get(self, request: Request, response: Response, user: str, id: str = WHOLE_SYSTEM) -> None:
        require_reader(caller_of(request), "identity:list_grants")
        store = self.service.store
        await store.get(User, user)
        if self.kind is ScopeKind.PROJECT:
            await store.get(Project, id)
        elif self.kind is ScopeKind.DOMAIN:
            await store.get(Domain, id)
        held = {grant.role_id for grant in await store.grants(user=user, scope=Scope(self.kind, id))}
        base = base_url(request, self.places)
        views = [role_view(role, base) for role in await store.find(Role) if role.id in held]
        send(response, listed("roles", views, base, request.path.removeprefix("/v3")))


@dataclass(frozen=True)
class _Grant:
    service: IdentityService
    kind: ScopeKind

    async def on_put(self, request: Request, response: Response, user: str, role: str, id: str = WHOLE_SYSTEM) -> None:
        require_admin(caller_of(request), "identity:create_grant")
        await self.service.store.grant(Grant(user, role, Scope(self.kind, id)))
        send_nothing(response)

    async def on_head(self, request: Request, response: Response, user: str, role: str, id: str = WHOLE_SYSTEM) -> None:
        """Also for GET, as in Keystone."""
        require_reader(caller_of(request), "identity:check_grant")
        if not await self.service.store.grants(user=user, scope=Scope(self.kind, id), role=role):
            raise NotFound(f"Could not find role assignment with role: {role}, user: {user}.")
        send_nothing(response)

    on_get = on_head

    async def on_delete(
        self, request: Request, response: Response, user: str, role: str, id: str = WHOLE_SYSTEM
    ) -> None:
        require_admin(caller_of(request), "identity:revoke_grant")
        await Directory(self.service).withdraw(Grant(user, role, Scope(self.kind, id)))
        send_nothing(response)


@dataclass(frozen=True)
class _Assignments:
    service: IdentityService
    places: Places

    async def on_get(self, request: Request, response: Response) -> None:
        caller = caller_of(request)
        require_reader(caller, "identity:list_role_assignments")
        grants = await self.service.store.grants(
            user=request.get_param("user.id"), scope=_scope_of(request), role=request.get_param("role.id")
        )
        base = base_url(request, self.places)
        views = [assignment_view(grant, base) for grant in grants]
        if is_asked(request, "include_names"):
            await self._name(views)
        query = f"?{request.query_string}" if request.query_string else ""
        send(response, listed("role_assignments", views, base, f"/role_assignments{query}"))

    async def _name(self, views: list[dict[str, Any]]) -> None:
        """Add the names of all that the assignments mention."""
        store = self.service.store
        domains = {domain.id: domain for domain in await store.find(Domain)}
        projects = {project.id: project for project in await store.find(Project)}
        users = {user.id: user for user in await store.find(User)}
        roles = {role.id: role for role in await store.find(Role)}

        def owner(domain_id: str) -> dict[str, str]:
            return {"id": domain_id, "name": domains[domain_id].name if domain_id in domains else ""}

        for view in views:
            if (user := users.get(view["user"]["id"])) is not None:
                view["user"] |= {"name": user.name, "domain": owner(user.domain_id)}
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
