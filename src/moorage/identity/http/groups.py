"""Who is in which group, over HTTP."""

from dataclasses import dataclass

import falcon.asgi

from moorage.domain.errors import NotFound
from moorage.identity.catalog import Places
from moorage.identity.directory import Directory
from moorage.identity.http.callers import base_url, caller_of, require_admin, require_reader
from moorage.identity.service import IdentityService
from moorage.identity.views import group_view, listed, user_view
from moorage.kit.web import Request, Response, send, send_nothing


def add_groups(app: falcon.asgi.App[Request, Response], service: IdentityService, places: Places) -> None:
    app.add_route("/v3/groups/{id}/users", _Members(service, places))
    app.add_route("/v3/groups/{id}/users/{user}", _Member(service))
    app.add_route("/v3/users/{id}/groups", _GroupsOfUser(service, places))


@dataclass(frozen=True)
class _Members:
    service: IdentityService
    places: Places

    async def on_get(self, request: Request, response: Response, id: str) -> None:
        require_reader(caller_of(request), "identity:list_users_in_group")
        base = base_url(request, self.places)
        views = [user_view(user, base) for user in await self.service.store.members(id)]
        send(response, listed("users", views, base, f"/groups/{id}/users"))


@dataclass(frozen=True)
class _Member:
    service: IdentityService

    async def on_put(self, request: Request, response: Response, id: str, user: str) -> None:
        require_admin(caller_of(request), "identity:add_user_to_group")
        await self.service.store.join(id, user)
        send_nothing(response)

    async def on_head(self, request: Request, response: Response, id: str, user: str) -> None:
        """Also for GET, as in Keystone."""
        caller = caller_of(request)
        if caller.user != user:
            require_reader(caller, "identity:check_user_in_group")
        if id not in {group.id for group in await self.service.store.groups_of(user)}:
            raise NotFound(f"User {user} not found in group {id}.")
        send_nothing(response)

    on_get = on_head

    async def on_delete(self, request: Request, response: Response, id: str, user: str) -> None:
        require_admin(caller_of(request), "identity:remove_user_from_group")
        await Directory(self.service).leave(id, user)
        send_nothing(response)


@dataclass(frozen=True)
class _GroupsOfUser:
    service: IdentityService
    places: Places

    async def on_get(self, request: Request, response: Response, id: str) -> None:
        caller = caller_of(request)
        if caller.user != id:
            require_reader(caller, "identity:list_groups_for_user")
        base = base_url(request, self.places)
        views = [group_view(group, base) for group in await self.service.store.groups_of(id)]
        send(response, listed("groups", views, base, f"/users/{id}/groups"))
