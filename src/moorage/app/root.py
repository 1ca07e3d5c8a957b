"""What the cloud answers outside of its APIs, without a token: GET /, /healthz, /readyz, /metrics."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import falcon.asgi
import structlog

from moorage.app.health import Health
from moorage.domain.errors import MoorageError
from moorage.kit.mount import Asgi
from moorage.kit.web import Request, Response, send
from moorage.seams.metrics import Metrics

log = structlog.get_logger(__name__)


PLACES = {"identity": "identity/v3", "compute": "compute/v2.1"}  # of others: their names


def make_root(services: Sequence[str], health: Health, metrics: Metrics) -> Asgi:
    app: Any = falcon.asgi.App()
    app.add_route("/", _Root(services))
    app.add_route("/healthz", _Alive())
    app.add_route("/readyz", _Ready(health))
    app.add_route("/metrics", _Numbers(health, metrics))
    return cast(Asgi, app)


@dataclass(frozen=True)
class _Root:
    """What is where."""

    services: Sequence[str]

    async def on_get(self, request: Request, response: Response) -> None:
        base = f"{request.scheme}://{request.netloc}"
        places = {name: f"{base}/{PLACES.get(name, name)}" for name in self.services}
        send(response, {"moorage": places})


class _Alive:
    """200 as long as the process answers at all."""

    async def on_get(self, request: Request, response: Response) -> None:
        send(response, {"alive": True})


@dataclass(frozen=True)
class _Ready:
    """200 when servers can be booted; 503 with the reasons."""

    health: Health

    async def on_get(self, request: Request, response: Response) -> None:
        try:
            reasons = await self.health.reasons()
        except MoorageError as error:
            reasons = [error.message]
        response.set_header("Cache-Control", "no-store")
        send(response, {"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)


@dataclass(frozen=True)
class _Numbers:
    """For Prometheus."""

    health: Health
    metrics: Metrics

    async def on_get(self, request: Request, response: Response) -> None:
        try:
            levels = await self.health.levels()
        except MoorageError as error:
            log.warning("no metrics can be given", error=error.message)
            send(response, {"error": error.message}, 503)
            return
        response.data, response.content_type = self.metrics.rendered(levels)
