"""The word to a host that a server of its own wants something done (from placed on)."""

import structlog

from moorage.domain.errors import Unavailable
from moorage.domain.server import Server
from moorage.seams.bus import Bus
from moorage.wire.messages import DoJob

log = structlog.get_logger(__name__)


async def tell_host(bus: Bus, server: Server) -> None:
    """Send the server's host to its record. Never fails: what the record says is found by the host's own looks too."""
    try:
        await bus.cast(f"compute.{server.host}", DoJob(server=server.id))
    except Unavailable as error:
        log.warning("the host was not told; it looks by itself", server=server.id, error=str(error))
