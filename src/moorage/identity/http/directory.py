"""Domains, projects, users, groups and roles over HTTP: the same five verbs for each."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic

import falcon.asgi
import msgspec

from moorage.domain.caller import Caller
from moorage.domain.errors import Invalid
from moorage.domain.identity import Domain, Group, Project, Role, User
from moorage.identity.catalog import Places
from moorage.identity.directory import Directory
from moorage.identity.http.callers import base_url, caller_of, require_admin, require_reader
from moorage.identity.requests import (
    ChangedDomain,
    ChangedGroup,
    ChangedProject,
    ChangedRole,
    ChangedUser,
    NewDomain,
    NewGroup,
    NewProject,
    NewRole,
    NewUser,
    OwnPasswordBody,
)
from moorage.identity.service import IdentityService
from moorage.identity.views import domain_view, group_view, listed, project_view, role_view, user_view
from moorage.kit.web import Request, Response, body_of, send, send_nothing
from moorage.seams.identity_store import Thing
from moorage.wire.json import convert, read


@dataclass(frozen=True)
class Noun(Generic[Thing]):
    """One kind of thing: its words, and what its verbs do with a body (already out of its envelope)."""

    kind: type[Thing]
    word: str
    filters: Mapping[str, str]  # query → field
    view: Callable[[Thing, str], dict[str, Any]]
    add: Callable[[Any, Caller], Awaitable[Thing]]
    change: Callable[[str, Any], Awaitable[Thing]]
    is_own: Callable[[Caller, str], bool]  # whether a caller who may read nothing else may read this one

    @property
    def plural(self) -> str:
        return f"{self.word}s"


def add_directory(app: falcon.asgi.App[Request, Response], service: IdentityService, places: Places) -> None:
    directory = Directory(service)
    by_name = {"name": "name", "enabled": "is_enabled"}
    in_domain = by_name | {"domain_id": "domain_id"}
    _add_noun(
        app,
        service,
        places,
        Noun(
            Domain,
            "domain",
            by_name,
            domain_view,
            lambda body, _: directory.add_domain(convert(body, NewDomain)),
            lambda id, body: directory.change_domain(id, convert(body, ChangedDomain)),
            lambda caller, id: caller.domain == id,
        ),
    )
    _add_noun(
        app,
        service,
        places,
        Noun(
            Project,
            "project",
            in_domain | {"parent_id": "parent_id"},
            project_view,
            lambda body, caller: directory.add_project(convert(body, NewProject), caller.domain),
            lambda id, body: directory.change_project(id, convert(body, ChangedProject)),
            lambda caller, id: caller.project == id,
        ),
    )
    _add_noun(
        app,
        service,
        places,
        Noun(
            User,
            "user",
            in_domain,
            user_view,
            lambda body, caller: directory.add_user(convert(body, NewUser), caller.domain),
            lambda id, body: directory.change_user(id, convert(body, ChangedUser)),
            lambda caller, id: caller.user == id,
        ),
    )
    _add_noun(
        app,
        service,
        places,
        Noun(
            Group,
            "group",
            {"name": "name", "domain_id": "domain_id"},
            group_view,
            lambda body, caller: directory.add_group(convert(body, NewGroup), caller.domain),
            lambda id, body: directory.change_group(id, convert(body, ChangedGroup)),
            lambda caller, id: False,
        ),
    )
    _add_noun(
        app,
        service,
        places,
        Noun(
            Role,
            "role",
            {"name": "name"},
            role_view,
            lambda body, _: directory.add_role(convert(body, NewRole)),
            lambda id, body: directory.change_role(id, convert(body, ChangedRole)),
            lambda caller, id: False,
        ),
    )
    app.add_route("/v3/users/{id}/projects", _ProjectsOfUser(service, places))
    app.add_route("/v3/users/{id}/password", _Password(directory))


def _add_noun(
    app: falcon.asgi.App[Request, Response], service: IdentityService, places: Places, noun: Noun[Thing]
) -> None:
    app.add_route(f"/v3/{noun.plural}", _All(service, places, noun))
    app.add_route(f"/v3/{noun.plural}/{{id}}", _One(service, places, noun))


@dataclass(frozen=True)
class _All(Generic[Thing]):
    service: IdentityService
    places: Places
    noun: Noun[Thing]

    async def on_get(self, request: Request, response: Response) -> None:
        noun = self.noun
        require_reader(caller_of(request), f"identity:list_{noun.plural}")
        where = {
            field: _wanted(field, value)
            for name, field in noun.filters.items()
            if (value := request.get_param(name)) is not None
        }
        base = base_url(request, self.places)
        found = await self.service.store.find(noun.kind, where)
        query = f"?{request.query_string}" if request.query_string else ""
        send(
            response,
            listed(noun.plural, [noun.view(thing, base) for thing in found], base, f"/{noun.plural}{query}"),
        )

    async def on_post(self, request: Request, response: Response) -> None:
        noun = self.noun
        caller = caller_of(request)
        require_admin(caller, f"identity:create_{noun.word}")
        thing = await noun.add(await _enveloped(request, noun.word), caller)
        send(response, {noun.word: noun.view(thing, base_url(request, self.places))}, 201)


@dataclass(frozen=True)
class _One(Generic[Thing]):
    service: IdentityService
    places: Places
    noun: Noun[Thing]

    async def on_get(self, request: Request, response: Response, id: str) -> None:
        noun, caller = self.noun, caller_of(request)
        if not noun.is_own(caller, id):
            require_reader(caller, f"identity:get_{noun.word}")
        thing = await self.service.store.get(noun.kind, id)
        send(response, {noun.word: noun.view(thing, base_url(request, self.places))})

    async def on_patch(self, request: Request, response: Response, id: str) -> None:
        noun = self.noun
        require_admin(caller_of(request), f"identity:update_{noun.word}")
        thing = await noun.change(id, await _enveloped(request, noun.word))
        send(response, {noun.word: noun.view(thing, base_url(request, self.places))})

    async def on_delete(self, request: Request, response: Response, id: str) -> None:
        noun = self.noun
        require_admin(caller_of(request), f"identity:delete_{noun.word}")
        await Directory(self.service).delete(noun.kind, id)
        send_nothing(response)


@dataclass(frozen=True)
class _ProjectsOfUser:
    service: IdentityService
    places: Places

    async def on_get(self, request: Request, response: Response, id: str) -> None:
        caller = caller_of(request)
        if caller.user != id:
            require_reader(caller, "identity:list_user_projects")
        await self.service.store.get(User, id)
        base = base_url(request, self.places)
        found = await self.service.projects_of(id)
        views = [project_view(project, base) for project in found]
        send(response, listed("projects", views, base, f"/users/{id}/projects"))


@dataclass(frozen=True)
class _Password:
    directory: Directory

    async def on_post(self, request: Request, response: Response, id: str) -> None:
        """For whoever knows the password that it was, as in Keystone: the token says nothing more."""
        body = read(await body_of(request), OwnPasswordBody)
        await self.directory.change_own_password(id, body.user.original_password, body.user.password)
        send_nothing(response)


async def _enveloped(request: Request, word: str) -> Any:
    """What is below `word`, the body's one key. Raises Invalid."""
    body = read(await body_of(request), dict[str, msgspec.Raw])
    if set(body) != {word}:
        raise Invalid(f"Invalid input: the body needs one key, '{word}'.")
    return read(bytes(body[word]), object)


def _wanted(field: str, value: str) -> str | bool:
    """The value that a filter asks for."""
    return value.lower() in ("true", "1", "") if field == "is_enabled" else value
