"""What every route needs of a request: who calls, at which microversion, with which query and body."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from moorage.compute_api.microversions import FIRST, HEADER, OLD_HEADER, negotiated
from moorage.compute_api.view import Eye
from moorage.domain.caller import Caller
from moorage.domain.errors import Invalid, NotFound
from moorage.kit.web import Request, Response, body_of, root_url
from moorage.wire.json import read

T = TypeVar("T")


class Microversions:
    """Middleware: finds out which microversion is spoken, and says so in every answer."""

    async def process_request(self, request: Request, response: Response) -> None:
        request.context.minor = FIRST
        request.context.minor = negotiated(request.get_header(HEADER), request.get_header(OLD_HEADER))

    async def process_response(self, request: Request, response: Response, _resource: object, _is_well: bool) -> None:
        minor = getattr(request.context, "minor", FIRST)
        response.set_header(HEADER, f"compute 2.{minor}")
        response.set_header(OLD_HEADER, f"2.{minor}")
        response.append_header("Vary", f"{HEADER}, {OLD_HEADER}")


def caller_of(request: Request) -> Caller:
    caller = request.context.caller
    assert isinstance(caller, Caller)
    return caller


def minor_of(request: Request) -> int:
    return int(request.context.minor)


def id_of(request: Request) -> str:
    """The request's own id, which instance actions are known by."""
    return str(request.context.id)


def eye_of(request: Request) -> Eye:
    return Eye(root_url(request), minor_of(request), caller_of(request).is_admin)


def query_of(request: Request) -> Mapping[str, Sequence[str]]:
    """Every key with all its values."""
    return {key: value if isinstance(value, list) else [value] for key, value in request.params.items()}


def only_keys(request: Request, keys: str) -> None:
    """Raises Invalid for other query keys than these words, from 2.75 on; below they are ignored."""
    unknown = set(request.params) - set(keys.split())
    if unknown and minor_of(request) >= 75:
        raise Invalid(f"Additional query parameters are not allowed: {', '.join(sorted(unknown))}")


async def read_body(request: Request, kind: type[T]) -> T:
    """Raises Invalid, and Refused for a body that is too large or no JSON."""
    return read(await body_of(request), kind)


async def read_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object. Raises Invalid."""
    return read(await body_of(request), dict[str, Any])


def only_from(request: Request, minor: int) -> None:
    """Raises NotFound below the microversion that brought a path."""
    if minor_of(request) < minor:
        raise NotFound("The resource could not be found.")


def only_until(request: Request, minor: int) -> None:
    """Raises NotFound above the last microversion that has a path."""
    if minor_of(request) > minor:
        raise NotFound("The resource could not be found.")


def next_link(request: Request, last: str) -> dict[str, str]:
    """The link to the page after the one that ends with `last`."""
    kept = [
        f"{key}={value}"
        for part in request.query_string.split("&")
        if part and (key := part.partition("=")[0]) != "marker" and (value := part.partition("=")[2]) is not None
    ]
    return {"rel": "next", "href": f"{root_url(request)}{request.path}?{'&'.join([*kept, f'marker={last}'])}"}


def single(body: Mapping[str, Any]) -> tuple[str, Any]:
    """The one key of an action's body and its value. Raises Invalid."""
    if len(body) != 1:
        raise Invalid("The request body must hold exactly one action.")
    [(name, argument)] = body.items()
    return name, argument
