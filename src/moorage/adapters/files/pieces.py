"""A file's data in pieces, read off the event loop."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from moorage.domain.errors import Unavailable
from moorage.kit.translating import translating

PIECE = 1 << 20  # bytes


async def pieces_of(path: Path) -> AsyncIterator[bytes]:
    """Raises Unavailable when the file cannot be read."""
    with translating({OSError: Unavailable}, f"reading {path.name}"), await asyncio.to_thread(path.open, "rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece
