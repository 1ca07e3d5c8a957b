"""What a process remembers of the boots under way, by the facts that it was told: whose request, and when which hop."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime

from moorage.domain.hops import HOPS, Fact, Hop, SubFact
from moorage.domain.ids import Generation, PortId, ServerId

MOST = 4096  # boots that are remembered; the oldest go first


@dataclass
class _Boot:
    generation: Generation | None = None
    request_id: str = ""
    at: dict[tuple[Hop, PortId | None], datetime] = field(default_factory=dict)  # of each hop, when it was told first

    def last(self, hop: Hop, port: PortId | None) -> datetime | None:
        """When `hop` was reached: by this port, or by the whole server; by the last port, for the whole server."""
        if port is not None:
            return self.at.get((hop, port)) or self.at.get((hop, None))
        return max((at for (what, _), at in self.at.items() if what is hop), default=None)


@dataclass(frozen=True)
class Told:
    """What a fact means beside its own words. Times are seconds, None where what came before is unknown."""

    request_id: str
    since_hop_before: float | None = None
    handshake: float | None = None  # plugged → running, of the last port


class HopMemory:
    """Bounded; a boot that is forgotten loses its times and its request, never its facts."""

    def __init__(self) -> None:
        self._boots: OrderedDict[ServerId, _Boot] = OrderedDict()

    def note(self, fact: Fact, request_id: str) -> Told:
        """Remember `fact`, told while `request_id` was being worked for ("" when its teller knows of none).

        What the agent and the notifier do is caused by the switch and by reports, not by a request: whose boot it is
        for is told by the server and the plug generation that these facts bear.
        """
        if fact.server is None:
            return Told(request_id)
        boot = self._boot(fact)
        if request_id and fact.what in _OF_THE_REQUEST:
            boot.request_id = request_id
        found = boot.request_id or request_id
        if not isinstance(fact.what, Hop) or (fact.what, fact.port) in boot.at:
            return Told(found)
        boot.at[fact.what, fact.port] = fact.wall
        handshake = None
        if fact.what is Hop.RUNNING and (plugged := boot.last(Hop.PLUGGED, None)) is not None:
            handshake = _seconds(plugged, fact.wall)
        before = HOPS[HOPS.index(fact.what) - 1] if fact.what is not Hop.ASKED else None
        began = None if before is None else boot.last(before, fact.port)
        return Told(found, None if began is None else _seconds(began, fact.wall), handshake)

    def _boot(self, fact: Fact) -> _Boot:
        assert fact.server is not None
        boot = self._boots.get(fact.server)
        if boot is None or fact.what is Hop.ASKED:
            boot = self._boots[fact.server] = _Boot()
        elif fact.generation is not None and boot.generation not in (None, fact.generation) and _begins(fact):
            asked = {key: at for key, at in boot.at.items() if key[0] is Hop.ASKED}
            boot = self._boots[fact.server] = _Boot(request_id=boot.request_id, at=asked)  # another attempt
        if boot.generation is None or _begins(fact):
            boot.generation = fact.generation or boot.generation
        self._boots.move_to_end(fact.server)
        if len(self._boots) > MOST:
            self._boots.popitem(last=False)
        return boot


# told while the request itself, or the job that it started, is worked on; the others by reports and events
_OF_THE_REQUEST = frozenset({Hop.ASKED, SubFact.PLACED, Hop.BOUND, SubFact.HELD, Hop.PLUGGED, Hop.RUNNING})


def _begins(fact: Fact) -> bool:
    return fact.what in (SubFact.PLACED, Hop.BOUND)


def _seconds(since: datetime, until: datetime) -> float:
    return max(0.0, (until - since).total_seconds())
