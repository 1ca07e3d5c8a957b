"""A host's ways to the rest of the cloud, that can be cut: for the others it is dead, and it goes on by itself."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Any, Never, TypeVar, cast

from moorage.domain.errors import Unavailable
from moorage.seams.bus import Bus, Handler
from moorage.wire.messages import Message

T = TypeVar("T")


@dataclass
class Gate:
    """Open until `is_cut`."""

    is_cut: bool = False

    def cut(self) -> None:
        self.is_cut = True

    def check(self) -> None:
        if self.is_cut:
            raise Unavailable("the host is cut off")


@dataclass(frozen=True)
class GatedBus:
    """Fulfils Bus on another. While it is cut nothing goes out, and what comes in comes again later."""

    bus: Bus
    gate: Gate

    async def cast(self, queue: str, message: Message) -> None:
        self.gate.check()
        await self.bus.cast(queue, message)

    async def call(self, queue: str, message: Message, *, timeout: float = 10.0) -> Message:
        self.gate.check()
        return await self.bus.call(queue, message, timeout=timeout)

    async def serve(self, queue: str, handler: Handler) -> Never:
        async def handled(message: Message) -> Message | None:
            self.gate.check()
            return await handler(message)

        await self.bus.serve(queue, handled)
        raise AssertionError("a queue's loop ended")

    def reconnects(self) -> AsyncIterator[None]:
        return self.bus.reconnects()


def gated(seam: T, gate: Gate, *, spare: Collection[str] = ()) -> T:
    """`seam`, whose calls, but for those named in `spare`, raise Unavailable while the gate is cut."""
    return cast(T, _Gated(seam, gate, spare))


class _Gated:
    def __init__(self, seam: object, gate: Gate, spare: Collection[str]) -> None:
        self._seam = seam
        self._gate = gate
        self._spare = spare

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._seam, name)
        if name in self._spare:
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._gate.check()
            return await method(*args, **kwargs)

        return call
