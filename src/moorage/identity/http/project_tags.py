"""The tags of a project, one by one and all together, over HTTP."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import falcon.asgi
from msgspec import Meta

from moorage.domain.errors import Invalid, NotFound
from moorage.domain.identity import Project
from moorage.identity.catalog import Places
from moorage.identity.directory import Directory
from moorage.identity.http.callers import base_url, caller_of, require_admin, require_reader
from moorage.identity.requests import Name255
from moorage.identity.service import IdentityService
from moorage.kit.web import Request, Response, body_of, send, send_nothing
from moorage.wire.json import Body, read

MOST = 80  # tags of one project, as in Keystone


class TagList(Body):
    tags: Annotated[list[Name255], Meta(max_length=MOST)]


def add_project_tags(app: falcon.asgi.App[Request, Response], service: IdentityService, places: Places) -> None:
    app.add_route("/v3/projects/{id}/tags", _Tags(service, places))
    app.add_route("/v3/projects/{id}/tags/{tag}", _Tag(service))


@dataclass(frozen=True)
class _Tags:
    service: IdentityService
    places: Places

    async def on_get(self, request: Request, response: Response, id: str) -> None:
        _require_reader(request, id, "identity:list_project_tags")
        self._send(request, response, await self.service.store.get(Project, id))

    async def on_put(self, request: Request, response: Response, id: str) -> None:
        require_admin(caller_of(request), "identity:update_project_tags")
        tags = read(await body_of(request), TagList).tags
        self._send(request, response, await changed(self.service, id, lambda _: tags))

    async def on_delete(self, request: Request, response: Response, id: str) -> None:
        require_admin(caller_of(request), "identity:delete_project_tags")
        await changed(self.service, id, lambda _: [])
        send_nothing(response)

    def _send(self, request: Request, response: Response, project: Project) -> None:
        self_link = f"{base_url(request, self.places)}/identity/v3/projects/{project.id}/tags"
        links = {"self": self_link, "next": None, "previous": None}
        send(response, {"tags": list(project.tags), "links": links})


@dataclass(frozen=True)
class _Tag:
    service: IdentityService

    async def on_head(self, request: Request, response: Response, id: str, tag: str) -> None:
        """Also for GET, as in Keystone."""
        _require_reader(request, id, "identity:get_project_tag")
        _require_tag((await self.service.store.get(Project, id)).tags, tag)
        send_nothing(response)

    on_get = on_head

    async def on_put(self, request: Request, response: Response, id: str, tag: str) -> None:
        require_admin(caller_of(request), "identity:create_project_tag")
        await changed(self.service, id, lambda tags: [*tags, tag])
        send_nothing(response, 201)

    async def on_delete(self, request: Request, response: Response, id: str, tag: str) -> None:
        require_admin(caller_of(request), "identity:delete_project_tag")

        def without(tags: Sequence[str]) -> list[str]:
            _require_tag(tags, tag)
            return [other for other in tags if other != tag]

        await changed(self.service, id, without)
        send_nothing(response)


async def changed(service: IdentityService, id: str, change: Callable[[Sequence[str]], Sequence[str]]) -> Project:
    """The project with other tags. Raises NotFound, Invalid for too many."""

    def checked(tags: Sequence[str]) -> list[str]:
        after = list(dict.fromkeys(change(tags)))
        if len(after) > MOST or any(not 0 < len(tag) <= 255 for tag in after):
            raise Invalid(f"Invalid input: a project has at most {MOST} tags, each of 1 to 255 characters.")
        return after

    return await Directory(service).change_tags(id, checked)


def _require_tag(tags: Sequence[str], tag: str) -> None:
    if tag not in tags:
        raise NotFound(f"Could not find project tag: {tag}.")


def _require_reader(request: Request, project: str, act: str) -> None:
    """Raises Forbidden unless it is the caller's own project, or the caller may read everything."""
    if caller_of(request).project != project:
        require_reader(caller_of(request), act)
