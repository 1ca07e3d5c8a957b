"""The bus, as the settings say."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from moorage.adapters.rabbitmq.bus import RabbitBus
from moorage.adapters.rabbitmq.settings import RabbitSettings
from moorage.app.serving.part import Reasons, Runner
from moorage.app.serving.secrets import password_of, with_password
from moorage.app.serving.settings import BusSettings, TlsSettings
from moorage.seams.bus import Bus


@dataclass(frozen=True)
class OpenedBus:
    """With what must run for it, and why it is not ready."""

    bus: Bus
    runners: Sequence[Runner]
    reasons: Reasons


@asynccontextmanager
async def opened(settings: BusSettings, tls: TlsSettings) -> AsyncIterator[OpenedBus]:
    """Raises Invalid."""
    bus = RabbitBus(rabbit_settings(settings, tls))

    async def reasons() -> Sequence[str]:
        if not bus.is_connected:
            return ["the bus is not connected"]
        return [f"queue {queue} is not served yet" for queue in bus.not_served()]

    yield OpenedBus(bus, [("bus", bus.run)], reasons)


def rabbit_settings(settings: BusSettings, tls: TlsSettings) -> RabbitSettings:
    """Raises Invalid when its password cannot be read."""
    return RabbitSettings(with_password(settings.url, password_of(settings)), ca=tls.ca_file)
