"""Where numbers about the running are noted. Noting never fails and never slows anybody."""

from dataclasses import dataclass
from typing import Protocol

from moorage.domain.hops import Hop


@dataclass(frozen=True)
class Levels:
    """How things stand now: read when somebody asks."""

    waits_open: int = 0  # ports that a boot waits for
    outbox_waiting: int = 0  # events not delivered yet
    outbox_oldest: float = 0.0  # seconds since the oldest of them was made; 0 when there is none
    dead_events: int = 0  # given up, and kept
    facts_dropped: int = 0  # ever, by this process


class Metrics(Protocol):
    def hop_reached(self, hop: Hop, seconds: float) -> None:
        """A hop of a boot, so many seconds after the hop before."""

    def handshake_took(self, seconds: float) -> None:
        """plugged → running."""

    def looked(self, who: str, seconds: float) -> None:
        """A look of "agent" (a full one, with its report) or of "compute" (at the ports that are awaited)."""

    def batch_sent(self, what: str, ports: int) -> None:
        """A message of an agent to the network, with so many ports; `what` is its type."""

    def answered(self, service: str, method: str, status: int, seconds: float) -> None:
        """An HTTP request of one of our services, answered."""

    def rendered(self, levels: Levels) -> tuple[bytes, str]:
        """All of it, with `levels`, as a body and its content type."""
