"""What callers write on a server: its metadata and its tags."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated

from msgspec import Meta

from moorage.compute_api.acting import CHANGEABLE
from moorage.compute_api.http.edge import (
    caller_of,
    eye_of,
    only_from,
    read_body,
)
from moorage.compute_api.service import ComputeApiService
from moorage.domain.errors import Invalid, NotFound
from moorage.domain.server import Server
from moorage.kit.web import Request, Response, send, send_nothing
from moorage.wire.compute import MetaBody, MetadataBody, TagsBody
from moorage.wire.json import convert

Tag = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[^,/]*$")]
MOST_TAGS = 50


@dataclass(frozen=True)
class Metadata:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str) -> None:
        row = await self.service.acting.own(server, caller_of(request))
        send(response, {"metadata": dict(row.metadata)})

    async def on_put(self, request: Request, response: Response, server: str) -> None:
        given = (await read_body(request, MetadataBody)).metadata
        await self._change(request, response, server, lambda _: given)

    async def on_post(self, request: Request, response: Response, server: str) -> None:
        given = (await read_body(request, MetadataBody)).metadata
        await self._change(request, response, server, lambda before: {**before, **given})

    async def _change(
        self,
        request: Request,
        response: Response,
        server: str,
        change: Callable[[Mapping[str, str]], Mapping[str, str]],
    ) -> None:
        row = await changed_metadata(self.service, request, server, change)
        send(response, {"metadata": dict(row.metadata)})


@dataclass(frozen=True)
class OneMetadata:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str, key: str) -> None:
        row = await self.service.acting.own(server, caller_of(request))
        require_key(row.metadata, key)
        send(response, {"meta": {key: row.metadata[key]}})

    async def on_put(self, request: Request, response: Response, server: str, key: str) -> None:
        given = (await read_body(request, MetaBody)).meta
        if set(given) != {key}:
            raise Invalid("Request body and URI mismatch")
        await changed_metadata(self.service, request, server, lambda before: {**before, **given})
        send(response, {"meta": given})

    async def on_delete(self, request: Request, response: Response, server: str, key: str) -> None:
        def without(before: Mapping[str, str]) -> Mapping[str, str]:
            require_key(before, key)
            return {name: value for name, value in before.items() if name != key}

        await changed_metadata(self.service, request, server, without)
        send_nothing(response)


async def changed_metadata(
    service: ComputeApiService,
    request: Request,
    server: str,
    change: Callable[[Mapping[str, str]], Mapping[str, str]],
) -> Server:
    limits = await service.limits_of((await service.acting.own(server, caller_of(request))).project)

    def rule(row: Server) -> Server:
        after = change(row.metadata)
        limits.require_metadata(after)
        return replace(row, metadata=after)

    return await service.acting.change(server, caller_of(request), rule, states=CHANGEABLE)


def require_key(metadata: Mapping[str, str], key: str) -> None:
    if key not in metadata:
        raise NotFound("Metadata item was not found")


@dataclass(frozen=True)
class Tags:
    """From 2.26 on."""

    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str) -> None:
        only_from(request, 26)
        row = await self.service.acting.own(server, caller_of(request))
        send(response, {"tags": list(row.tags)})

    async def on_put(self, request: Request, response: Response, server: str) -> None:
        only_from(request, 26)
        tags = tuple(convert(tag, Tag) for tag in dict.fromkeys((await read_body(request, TagsBody)).tags))
        await self.service.acting.change(server, caller_of(request), lambda row: replace(row, tags=tags), states=None)
        send(response, {"tags": list(tags)})

    async def on_delete(self, request: Request, response: Response, server: str) -> None:
        only_from(request, 26)
        await self.service.acting.change(server, caller_of(request), lambda row: replace(row, tags=()), states=None)
        send_nothing(response)


@dataclass(frozen=True)
class OneTag:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, server: str, tag: str) -> None:
        only_from(request, 26)
        row = await self.service.acting.own(server, caller_of(request))
        require_tag(row, tag)
        send_nothing(response)

    async def on_put(self, request: Request, response: Response, server: str, tag: str) -> None:
        only_from(request, 26)
        convert(tag, Tag)
        caller = caller_of(request)
        if tag in (await self.service.acting.own(server, caller)).tags:
            send_nothing(response)
            return

        def rule(row: Server) -> Server:
            if len(row.tags) >= MOST_TAGS:
                raise Invalid(f"The number of tags exceeded the per-server limit {MOST_TAGS}")
            return replace(row, tags=(*(known for known in row.tags if known != tag), tag))

        await self.service.acting.change(server, caller, rule, states=None)
        response.set_header("Location", eye_of(request).self_link(f"servers/{server}/tags/{tag}")["href"])
        send_nothing(response, 201)

    async def on_delete(self, request: Request, response: Response, server: str, tag: str) -> None:
        only_from(request, 26)

        def rule(row: Server) -> Server:
            require_tag(row, tag)
            return replace(row, tags=tuple(known for known in row.tags if known != tag))

        await self.service.acting.change(server, caller_of(request), rule, states=None)
        send_nothing(response)


def require_tag(server: Server, tag: str) -> None:
    if tag not in server.tags:
        raise NotFound(f"Server {server.id} has no tag '{tag}'")
