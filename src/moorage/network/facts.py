"""What a port's change means for the timeline: bound, dhcp_ready, ready."""

from datetime import datetime

from moorage.domain.hops import Fact, Hop, SubFact
from moorage.domain.news import concerns_compute, server_of
from moorage.domain.port import Port, PortStatus, is_bound

WHO = "network"


def facts_of(
    before: Port | None, after: Port, *, wall: datetime, monotonic: float, is_dhcp: bool = False
) -> list[Fact]:
    """The facts that a change of a server's port has made; `wall` is when it was committed.

    `is_dhcp`: a DHCP server's word has made it. (A port may also stop waiting for one.)
    """
    if not concerns_compute(after):
        return []
    told: list[Hop | SubFact] = []
    if is_bound(after) and (before is None or before.binding != after.binding):
        told.append(Hop.BOUND)
    elif is_dhcp and before is not None and before.awaiting != after.awaiting:
        told.append(SubFact.DHCP_READY)
    if after.status is PortStatus.ACTIVE and (before is None or before.status is not PortStatus.ACTIVE):
        told.append(Hop.READY)
    return [
        Fact(
            what=what,
            wall=wall,
            monotonic=monotonic,
            who=WHO,
            server=server_of(after),
            port=after.id,
            generation=after.binding.generation,
            host=after.binding.host,
        )
        for what in told
    ]
