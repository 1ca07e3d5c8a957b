"""Numbers taken where calls pass: HTTP requests by service, agents' batches and looks, compute's looks."""

import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Never, cast

from moorage.domain.ids import PortId
from moorage.kit.mount import Asgi, Receive, Scope, Send
from moorage.seams.bus import Bus, Handler
from moorage.seams.metrics import Metrics
from moorage.seams.network_api import NetworkApi, NetworkPort
from moorage.wire.messages import DetailsWanted, LookBegins, Message, Reports

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def counted(service: str, app: Asgi, metrics: Metrics) -> Asgi:
    """`app`, each of its answers noted."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        began, status = time.monotonic(), 500

        async def noting(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, noting)
        finally:
            method = scope.get("method", "")
            metrics.answered(service, method if method in _METHODS else "other", status, time.monotonic() - began)

    return answer


class MeteredBus:
    """An agent's way to the network."""

    def __init__(self, bus: Bus, metrics: Metrics) -> None:
        self._bus = bus
        self._metrics = metrics
        self._look_began: float | None = None

    async def cast(self, queue: str, message: Message) -> None:
        await self._bus.cast(queue, message)

    async def call(self, queue: str, message: Message, *, timeout: float = 10.0) -> Message:
        if isinstance(message, LookBegins):
            self._look_began = time.monotonic()
        answer = await self._bus.call(queue, message, timeout=timeout)
        match message:
            case DetailsWanted():
                self._metrics.batch_sent("details", len(message.ports))
            case Reports():
                self._metrics.batch_sent("report", len(message.up) + len(message.down))
                if message.complete and self._look_began is not None:
                    self._metrics.looked("agent", time.monotonic() - self._look_began)
                    self._look_began = None
        return answer

    async def serve(self, queue: str, handler: Handler) -> Never:
        await self._bus.serve(queue, handler)
        raise AssertionError("a queue's loop ended")

    def reconnects(self) -> AsyncIterator[None]:
        return self._bus.reconnects()


class _TimedLooks:
    def __init__(self, network: NetworkApi, metrics: Metrics) -> None:
        self._network = network
        self._metrics = metrics

    async def ports(self, *, ids: Sequence[PortId] | None = None, **others: Any) -> Sequence[NetworkPort]:
        began = time.monotonic()
        found = await self._network.ports(ids=ids, **others)
        self._metrics.looked("compute", time.monotonic() - began)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)


def timed_looks(network: NetworkApi, metrics: Metrics) -> NetworkApi:
    """`network`, for who waits for ports: each look at them is timed."""
    return cast(NetworkApi, _TimedLooks(network, metrics))
