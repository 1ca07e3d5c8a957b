"""What the tests of real guests share: moorage-guest, built once a machine, and how to wait for a guest's words."""

import asyncio
import os
from pathlib import Path

from moorage.adapters.guest_image.build import guest_image
from moorage.domain.ids import ServerId
from moorage.seams.hypervisor import GuestImage, Hypervisor

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "moorage-tests"


async def moorage_guest() -> GuestImage:
    """Built at its first use, which takes some seconds and Debian's packages."""
    return await guest_image(CACHE)


async def said(hypervisor: Hypervisor, server: ServerId, words: bytes, *, within: float = 15.0) -> bytes:
    """The guest's console once `words` stand in it."""
    console = b""
    try:
        async with asyncio.timeout(within):
            while words not in (console := await hypervisor.console(server)):
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{words!r} is not on the console: {console[-2000:]!r}") from None
    return console
