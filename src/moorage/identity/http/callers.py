"""Who calls identity: by which address, and what they may."""

from moorage.domain.caller import Caller
from moorage.domain.errors import Forbidden
from moorage.identity.catalog import Places
from moorage.kit.web import Request, root_url

ALLOWED = ("true", "1", "yes", "")  # the word alone, as in ?nocatalog, is a yes


def base_url(request: Request, places: Places) -> str:
    """What identity is below, as clients reach it, without a closing slash."""
    return (places.get("identity") or root_url(request).removesuffix("/identity")).rstrip("/")


def caller_of(request: Request) -> Caller:
    caller = request.context.caller
    assert isinstance(caller, Caller), "the edge has let nobody in without a token"
    return caller


def require_reader(caller: Caller, act: str) -> None:
    """Raises Forbidden unless the caller may read everything: an admin, or a reader of the system."""
    if not (caller.is_admin or (caller.is_system and "reader" in caller.roles)):
        raise Forbidden(f"You are not authorized to perform the requested action: {act}.")


def require_admin(caller: Caller, act: str) -> None:
    """Raises Forbidden unless the caller is an admin."""
    if not caller.is_admin:
        raise Forbidden(f"You are not authorized to perform the requested action: {act}.")


def is_asked(request: Request, name: str) -> bool:
    """Whether a switch stands in the query: `?name`, `?name=1`, `?name=true`."""
    value = request.get_param(name)
    return value is not None and value.lower() in ALLOWED
