"""Tags of networks, subnets, ports and groups."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from moorage.domain.caller import Caller
from moorage.domain.errors import Invalid, NotFound
from moorage.domain.network import Network, Subnet
from moorage.domain.port import Port
from moorage.domain.security_group import SecurityGroup
from moorage.kit.web import Request, Response, body_of, send, send_nothing
from moorage.network.access import require_owner
from moorage.network.http.resource import caller_of
from moorage.wire.network import TagsBody, read

LONGEST = 255  # characters
Tagged: TypeAlias = Network | Subnet | Port | SecurityGroup
Show: TypeAlias = Callable[[Caller, str], Awaitable[Tagged]]
Change: TypeAlias = Callable[[Any, Callable[[Any], Any]], Awaitable[object]]


class Tags:
    """The tags of one kind: `change` is the store's own verb for it."""

    def __init__(self, show: Show, change: Change) -> None:
        self._show = show
        self._change = change

    async def on_get(self, request: Request, response: Response, thing: str) -> None:
        send(response, {"tags": list((await self._show(caller_of(request), thing)).tags)})

    async def on_put(self, request: Request, response: Response, thing: str) -> None:
        body = read(await body_of(request), TagsBody)
        await self._set(request, thing, lambda _: body.tags)
        send(response, {"tags": body.tags})

    async def on_delete(self, request: Request, response: Response, thing: str) -> None:
        await self._set(request, thing, lambda _: ())
        send_nothing(response)

    async def on_get_one(self, request: Request, response: Response, thing: str, tag: str) -> None:
        _require(tag, (await self._show(caller_of(request), thing)).tags)
        send_nothing(response)

    async def on_put_one(self, request: Request, response: Response, thing: str, tag: str) -> None:
        if len(tag) > LONGEST:
            raise Invalid(f"A tag has at most {LONGEST} characters.", kind="HTTPBadRequest")
        await self._set(request, thing, lambda tags: (*tags, tag))
        send_nothing(response, 201)

    async def on_delete_one(self, request: Request, response: Response, thing: str, tag: str) -> None:
        _require(tag, (await self._show(caller_of(request), thing)).tags)
        await self._set(request, thing, lambda tags: [one for one in tags if one != tag])
        send_nothing(response)

    async def _set(self, request: Request, thing: str, change: Callable[[Sequence[str]], Sequence[str]]) -> None:
        caller = caller_of(request)
        found = await self._show(caller, thing)
        require_owner(caller, found.project_id, "update_tags")
        await self._change(found.id, lambda before: replace(before, tags=tuple(dict.fromkeys(change(before.tags)))))


def _require(tag: str, tags: Sequence[str]) -> None:
    if tag not in tags:
        raise NotFound(f"Tag {tag} could not be found.", kind="TagNotFound")
