"""A service put together: what it brings into the process that it runs in, and what it finds there."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from moorage.adapters.http.session import Session
from moorage.app.deadlines import CALL, OUTBOX, STORE, Others, limited
from moorage.kit.mount import Asgi
from moorage.seams.bus import Bus
from moorage.seams.clock import Clock
from moorage.seams.metrics import Levels
from moorage.seams.timeline import Timeline
from moorage.seams.tokens import TokenVerifier

S = TypeVar("S", covariant=True)
T = TypeVar("T")
Runner = tuple[str, Callable[[], Awaitable[object]]]
Reasons = Callable[[], Awaitable[Sequence[str]]]


class Sessions(Protocol):
    """The ways to other services: in this process or in others."""

    def __call__(self, service: str, user: str) -> Session:
        """To a service by the path that it is mounted at ("network", "compute/v2.1"), as a service user."""


class Changing(Protocol):
    """For stories: a seam by its user's name for it, with faults on the way."""

    def __call__(self, name: str, seam: T, /) -> T: ...


def unchanged(_name: str, seam: T, /) -> T:
    return seam


@dataclass(frozen=True)
class Surroundings:
    """What a service finds in whichever process it is put."""

    bus: Bus
    clock: Clock
    timeline: Timeline
    verifier: TokenVerifier
    sessions: Sessions
    changing: Changing = unchanged

    def seam(self, name: str, seam: T, *, seconds: float = CALL, but: Others = {}) -> T:  # noqa: B006 - never written
        """A seam as its user gets it, with a limit around each call."""
        return limited(name, self.changing(name, seam), seconds=seconds, but=but)

    def store(self, name: str, store: T) -> T:
        """A store as its service gets it."""
        return self.seam(name, store, seconds=STORE, but=OUTBOX)


async def nothing_to_begin() -> None:
    """A service that is ready from the start."""


async def no_reasons() -> Sequence[str]:
    return ()


async def no_levels() -> Levels:
    return Levels()


@dataclass(frozen=True)
class Part(Generic[S]):
    """`app` is to be mounted at /`name`. `begin`, which is repeatable, goes before the first request; `runners` are
    eternal. `reasons` says why it is not ready, `levels` how things stand."""

    name: str
    service: S
    app: Asgi
    runners: Sequence[Runner] = ()
    begin: Callable[[], Awaitable[None]] = nothing_to_begin
    reasons: Reasons = no_reasons
    levels: Callable[[], Awaitable[Levels]] = no_levels
