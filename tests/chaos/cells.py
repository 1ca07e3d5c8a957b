"""The cells of the sweep: who dies at which hop, and what it cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from moorage.domain.hops import HOPS, Hop

VICTIMS: Mapping[str, Sequence[str]] = {
    "compute API": ("compute-api-1", "compute-api-2"),
    "network API": ("network-1", "network-2"),
    "notifier": (),  # the one of the two network processes that tells this boot's news
    "compute": ("compute",),
    "agent": ("agent",),
    "RabbitMQ": ("rabbitmq",),
    "PostgreSQL": ("postgresql",),
    "ovsdb-server": ("ovsdb-server",),
    "ovs-vswitchd": ("ovs-vswitchd",),
    "holder's children": ("dhcp",),  # of this boot, while its guest is held
}


@dataclass(frozen=True)
class Cell:
    """One death. `delay` is how much later than without it the guest ran (or, killed after that, answered)."""

    hop: Hop
    victim: str
    counted: bool
    delay: float | None  # seconds; None: the boot did not come through
    restart: float  # seconds that the victim was away

    @property
    def is_slow(self) -> bool:
        """Whether it cost more than the goal."""
        return self.delay is None or self.delay > self.restart + 2.0


ALL: Sequence[tuple[Hop, str]] = [(hop, victim) for hop in HOPS for victim in VICTIMS]
SHORT: Sequence[tuple[Hop, str]] = [
    (Hop.BOUND, "ovsdb-server"),
    (Hop.READY, "notifier"),
    (Hop.READY, "PostgreSQL"),
    (Hop.TOLD, "compute API"),
    (Hop.HEARD, "RabbitMQ"),
]
