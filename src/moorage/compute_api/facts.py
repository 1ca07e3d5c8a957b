"""What compute API tells of a server's boot: asked, placed, heard, failed."""

from datetime import datetime

from moorage.domain.hops import Fact, Hop, SubFact
from moorage.domain.ids import PortId
from moorage.domain.server import Server

WHO = "compute-api"


def fact_of(
    server: Server,
    what: Hop | SubFact,
    *,
    wall: datetime,
    monotonic: float,
    port: PortId | None = None,
    detail: str = "",
) -> Fact:
    return Fact(
        what=what,
        wall=wall,
        monotonic=monotonic,
        who=WHO,
        server=server.id,
        port=port,
        generation=server.generation,
        attempt=server.attempt,
        host=server.host,
        detail=detail,
    )
