"""The bus, as the settings say."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from moorage.adapters.memory.bus import MemoryBus
from moorage.app.serving.part import Runner
from moorage.app.serving.settings import BusSettings
from moorage.domain.errors import Invalid
from moorage.seams.bus import Bus

MEMORY = "memory:"


@asynccontextmanager
async def opened(settings: BusSettings) -> AsyncIterator[tuple[Bus, Sequence[Runner]]]:
    """The bus, and what must run for it. Raises Invalid."""
    if settings.url != MEMORY:
        raise Invalid(f"bus.url: there is no bus between processes yet; {MEMORY} is one inside each, without hosts")
    yield MemoryBus(), ()
