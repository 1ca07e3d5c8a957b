"""The bus of an all-in-one: in memory, on a RabbitMQ of its own, or on one that is there."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from moorage.adapters.memory.bus import MemoryBus
from moorage.app.config import MEMORY, RABBITMQ
from moorage.app.serving.part import Runner
from moorage.seams.bus import Bus


async def open_bus(
    bus: str, place: Path, stack: AsyncExitStack, progress: Callable[[str], None]
) -> tuple[Bus, Sequence[Runner]]:
    """The bus that `bus` names, and what must run for it; `place` is for a broker of its own, which `stack` ends.

    Raises Invalid, Unavailable.
    """
    if bus == MEMORY:
        return MemoryBus(), ()
    from moorage.adapters.rabbitmq.broker import private_broker
    from moorage.adapters.rabbitmq.bus import RabbitBus, try_connecting
    from moorage.adapters.rabbitmq.settings import settings_of

    if bus != RABBITMQ:
        settings = settings_of(bus)
        await try_connecting(settings)
        rabbit = RabbitBus(settings)
        return rabbit, [("bus", rabbit.run)]
    progress("starting RabbitMQ …")
    broker = await stack.enter_async_context(private_broker(place))
    rabbit = RabbitBus(settings_of(broker.url), settle=0.0)  # what is lost with the broker, the cloud looks for itself
    return rabbit, [("bus", rabbit.run), ("RabbitMQ", broker.keep)]


def url_of_own_broker(place: Path) -> str | None:
    """Where the RabbitMQ is that runs in `place`; None when none does."""
    from moorage.adapters.rabbitmq.broker import URL_FILE

    try:
        return (place / URL_FILE).read_text()
    except OSError:
        return None
