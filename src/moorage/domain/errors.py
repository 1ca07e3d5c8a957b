"""What can go wrong, by what the caller can do about it. Only Unavailable is ever retried."""

from collections.abc import Mapping


class MoorageError(Exception):
    """One of the five reactions; `kind` is the API's word for it where the API has one (NeutronError.type)."""

    def __init__(self, message: str, *, kind: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind


class Invalid(MoorageError):
    """The request cannot be carried out as it is: fix it."""


class Forbidden(Invalid):
    """The request is sound, this caller may not make it."""


class Unauthorized(Forbidden):
    """Nobody we know: a new token is needed."""


class TooLarge(Invalid):
    """The request is bigger than we read, or have room for."""


class NotFound(MoorageError):
    """There is no such thing, or none that the caller may see."""


class Conflict(MoorageError):
    """Not in this state: read again, then decide."""


class Stale(Conflict):
    """The thing has changed since it was read (If-Match): read it again."""


class Exhausted(MoorageError):
    """None left: addresses, hosts, quota."""


class Unavailable(MoorageError):
    """It did not answer, or not now. The one error that is retried."""


class Full(Unavailable):
    """The disk has no room; it will when somebody has made some."""


class VirtualInterfaceCreateException(Exception):  # Nova's name, which operators search for
    """Ports that were not ready in time, each with the last hop it reached. Final: never retried."""

    def __init__(self, silent: Mapping[str, str], timeout: float, *, broken: frozenset[str] = frozenset()) -> None:
        """`silent`: the last hop of each port; those of them in `broken` were given up by the network itself."""
        told = [
            f"port {port} was given up by the network after '{hop}'"
            if port in broken
            else f"port {port} only got as far as '{hop}' within {timeout:g} s"
            for port, hop in sorted(silent.items())
        ]
        super().__init__(f"Failed to allocate the network(s): {', '.join(told)}")
        self.silent = silent
        self.timeout = timeout  # seconds
