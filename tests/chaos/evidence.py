"""What a run leaves behind to be judged by: what was written, told and accepted, and what stands on the host."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from moorage.domain.events import DeadEvent, ExternalEvent, OutboxItem
from moorage.domain.hops import Fact
from moorage.domain.ids import ServerId
from moorage.domain.port import Port
from moorage.domain.server import Server


@dataclass(frozen=True)
class PortWrite:
    """A change to a port's row; None: there was, or is, no such row."""

    transaction: int
    before: Port | None
    after: Port | None


@dataclass(frozen=True)
class Appended:
    """News put into the outbox. `order` is that of doings in the outbox."""

    order: int
    transaction: int
    item: OutboxItem


@dataclass(frozen=True)
class Removed:
    """What was taken out of the outbox."""

    order: int
    transaction: int


@dataclass(frozen=True)
class Accepted:
    """An event that compute's API took for good."""

    at: datetime
    event: ExternalEvent


@dataclass(frozen=True)
class Snapshot:
    """What there is at one time, by kind ("tap", "flow", "process" …), each thing as a line that names it."""

    things: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def blind(self, names: Collection[str]) -> list[str]:
        """The kinds in which nothing goes by any of these names: of such a thing no leak would be seen."""
        return [
            kind for kind, things in self.things.items() if not any(name in thing for thing in things for name in names)
        ]


@dataclass(frozen=True)
class Asked:
    """What was wanted of a server at last. `is_single`: it was booted under a single fault."""

    server: ServerId
    wanted: str  # ACTIVE, SHUTOFF, or DELETED
    is_single: bool = False


@dataclass(frozen=True)
class Reached:
    """A guest answered at an address, and was let be until then."""

    address: str
    at: datetime
    until: datetime


@dataclass(frozen=True)
class Evidence:
    """`servers` are the rows, deleted ones too; `reached` is where guests answered, by server."""

    asked: Sequence[Asked] = ()
    servers: Mapping[ServerId, Server] = field(default_factory=dict)
    deadlines: Mapping[ServerId, datetime] = field(default_factory=dict)  # of the last attempts that had one
    facts: Mapping[ServerId, Sequence[Fact]] = field(default_factory=dict)
    reached: Mapping[ServerId, Reached] = field(default_factory=dict)
    writes: Sequence[PortWrite] = ()  # in their order
    appended: Sequence[Appended] = ()  # in their order
    removed: Mapping[int, Removed] = field(default_factory=dict)  # by the item's id
    accepted: Sequence[Accepted] = ()
    dead: Sequence[DeadEvent] = ()
    before: Snapshot = Snapshot()  # when nothing had been asked for yet
    after: Snapshot = Snapshot()  # when everything was deleted
