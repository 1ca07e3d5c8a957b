"""Which ports are wired next when there are many: those that a boot waits for go ahead, and nobody waits for ever.

Batches are bounded, so that the bridge is looked at again between them and a port that was plugged meanwhile has its
turn: it waits for one batch, not for all.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from moorage.domain.ids import PortId
from moorage.seams.switch import DEAD_VLAN, Interface

BATCH = 32  # ports: 17 ms to pack their flows; 4 and 7 ms for the network to tell details and to take reports
SHARE = 4  # one in so many is for ports that were wired before, if there are any


@dataclass
class Queue:
    """Ports to be looked at, the longest waiting first."""

    _since: dict[PortId, None] = field(default_factory=dict)

    def next(self, due: Iterable[Interface]) -> list[Interface]:
        """The next batch of those that are to be looked at now. Whoever is not among them leaves the queue, and comes
        back at its end: one that failed, and is tried again later, is in nobody's way."""
        now = {interface.port: interface for interface in due}
        self._since = {port: None for port in self._since if port in now}
        self._since.update(dict.fromkeys(now))
        return batch_of([now[port] for port in self._since])


@dataclass(frozen=True)
class Progress:
    """Of an agent that catches up: how far it is with what it found, and how fast."""

    began: float  # monotonic, seconds
    wired: int
    of: int

    def per_second(self, now: float) -> float:
        return self.wired / (now - self.began) if now > self.began else 0.0


def progress(before: Progress | None, done: int, left: int, began: float) -> Progress | None:
    """After a batch of `done` ports that began then; None when there is, and was, no more than that batch."""
    if before is None and left == 0:
        return None
    wired = done + (before.wired if before else 0)
    return Progress(before.began if before else began, wired, wired + left)


def batch_of(waiting: list[Interface], size: int = BATCH) -> list[Interface]:
    """At most `size` of those that wait, in their order: awaited ones first, but a share is kept for the others."""
    awaited = [interface for interface in waiting if is_awaited(interface)]
    others = [interface for interface in waiting if not is_awaited(interface)]
    kept = min(len(others), max(size - len(awaited), size // SHARE))
    return awaited[: size - kept] + others[:kept]


def is_awaited(interface: Interface) -> bool:
    """Whether somebody may wait for it: plugged and never wired in this generation. The others had their boot."""
    return interface.vlan in (None, DEAD_VLAN)
