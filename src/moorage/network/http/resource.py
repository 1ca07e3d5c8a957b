"""One kind of thing over HTTP: list, show, create (also many at once), update, delete."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from moorage.domain.caller import Caller
from moorage.domain.errors import Forbidden, Invalid, NotFound
from moorage.kit.web import Request, Response, body_of, root_url, send, send_nothing
from moorage.network.http import listing
from moorage.network.http.views import View
from moorage.wire.network import NETWORK_BODY, read_new, read_one

T = TypeVar("T")
IF_MATCH = re.compile(r"revision_number=(\d+)")


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What HTTP needs to know of one kind of thing. `find` may use the query to read less; the rest is filtered."""

    name: str
    plural: str
    view: Callable[[T, Caller], View]
    find: Callable[[Caller, listing.Query], Awaitable[Sequence[T]]]
    show: Callable[[Caller, str], Awaitable[T]]
    new: Any  # the type of a body that makes one
    edit: Any  # the type of a body that changes one
    create: Callable[[Caller, Sequence[Any]], Awaitable[Sequence[T]]]
    update: Callable[[Caller, str, Any, int | None], Awaitable[T]]
    delete: Callable[[Caller, str, int | None], Awaitable[None]]


class Resource(Generic[T]):
    """The routes of one kind: its collection and (suffix `one`) each of its things."""

    def __init__(self, kind: Kind[T]) -> None:
        self._kind = kind

    async def on_get(self, request: Request, response: Response) -> None:
        caller, query, kind = caller_of(request), query_of(request), self._kind
        views = [kind.view(one, caller) for one in await kind.find(caller, query)]
        page = listing.selected(views, query)
        body: dict[str, Any] = {kind.plural: [listing.with_fields(view, query) for view in page]}
        if listing.limit_of(query) is not None:
            body[f"{kind.plural}_links"] = _links(request, query, page)
        send(response, body)

    async def on_post(self, request: Request, response: Response) -> None:
        caller, kind = caller_of(request), self._kind
        bodies, is_many = read_new(await body_of(request, limit=NETWORK_BODY), kind.name, kind.plural, kind.new)
        made = [kind.view(one, caller) for one in await kind.create(caller, bodies)]
        send(response, {kind.plural: made} if is_many else {kind.name: made[0]}, 201)

    async def on_get_one(self, request: Request, response: Response, thing: str) -> None:
        caller = caller_of(request)
        view = self._kind.view(await self._kind.show(caller, thing), caller)
        send(response, {self._kind.name: listing.with_fields(view, query_of(request))})

    async def on_put_one(self, request: Request, response: Response, thing: str) -> None:
        caller, kind = caller_of(request), self._kind
        body = read_one(await body_of(request), kind.name, kind.edit)
        view = kind.view(await kind.update(caller, thing, body, revision_of(request)), caller)
        send(response, {kind.name: view})

    async def on_delete_one(self, request: Request, response: Response, thing: str) -> None:
        await self._kind.delete(caller_of(request), thing, revision_of(request))
        send_nothing(response)


class EmptyList:
    """Something that clients look for at each boot and that there is none of."""

    def __init__(self, name: str, plural: str) -> None:
        self._name = name
        self._plural = plural

    async def on_get(self, request: Request, response: Response) -> None:
        send(response, {self._plural: []})

    async def on_post(self, request: Request, response: Response) -> None:
        raise Invalid(
            f"There are no {self._plural} here: guests reach their own network only.", kind="ExtensionNotFound"
        )

    async def on_get_one(self, request: Request, response: Response, thing: str) -> None:
        raise NotFound(f"{self._name} {thing} could not be found.", kind="HTTPNotFound")

    on_put_one = on_delete_one = on_get_one


def caller_of(request: Request) -> Caller:
    caller = request.context.caller
    assert isinstance(caller, Caller), "a request without a caller came through"
    return caller


def query_of(request: Request) -> Mapping[str, Sequence[str]]:
    """The query's keys, each with all its values."""
    return {name: [value] if isinstance(value, str) else value for name, value in request.params.items()}


def revision_of(request: Request) -> int | None:
    """The revision that If-Match demands. Raises Invalid for one that cannot be read."""
    given = request.get_header("If-Match")
    if given is None:
        return None
    found = IF_MATCH.search(given)
    if found is None:
        raise Invalid(f"If-Match is revision_number=N, not '{given}'.", kind="BadRequest")
    return int(found[1])


def require_service(caller: Caller, act: str) -> None:
    if not caller.is_service:
        raise Forbidden(f"Policy doesn't allow {act} to be performed.", kind="PolicyNotAuthorized")


def _links(request: Request, query: Mapping[str, Sequence[str]], page: Sequence[View]) -> list[dict[str, str]]:
    """The pages after and before this one, as Neutron tells them: none only in the direction in which this page is
    short. From an empty one it goes back to the last.
    """
    links = []
    is_short = len(page) != listing.limit_of(query)
    if not (is_short and not listing.is_reverse(query)):
        links.append({"rel": "next", "href": _page_at(request, query, page[-1:], is_reverse=False)})
    if not (is_short and listing.is_reverse(query)):
        links.append({"rel": "previous", "href": _page_at(request, query, page[:1], is_reverse=True)})
    return links


def _page_at(request: Request, query: Mapping[str, Sequence[str]], marker: Sequence[View], *, is_reverse: bool) -> str:
    pairs = [(name, value) for name, values in query.items() for value in values]
    pairs = [(name, value) for name, value in pairs if name not in ("marker", "page_reverse")]
    pairs += [("marker", view["id"]) for view in marker]
    if is_reverse:
        pairs.append(("page_reverse", "True"))
    return f"{root_url(request)}{request.path}?{urlencode(pairs)}"
