"""Which host takes a server (sub-fact placed)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from moorage.domain.errors import Exhausted
from moorage.domain.ids import HostName
from moorage.domain.server import Flavor

DEAD_AFTER = timedelta(seconds=10)  # without a heartbeat; one is due every 3 s


@dataclass(frozen=True)
class HostState:
    """A compute host as the scheduler sees it; used_* counts what is claimed by servers that are placed there."""

    name: HostName
    heard_at: datetime
    vcpus: int
    memory_mib: int
    disk_gib: int
    used_vcpus: int = 0
    used_memory_mib: int = 0
    used_disk_gib: int = 0
    is_enabled: bool = True
    cpu_ratio: float = 16.0  # virtual CPUs for each real one

    def is_alive(self, now: datetime) -> bool:
        return now - self.heard_at <= DEAD_AFTER

    def has_room(self, flavor: Flavor) -> bool:
        return (
            self.used_vcpus + flavor.vcpus <= self.vcpus * self.cpu_ratio
            and self.used_memory_mib + flavor.ram <= self.memory_mib
            and self.used_disk_gib + flavor.disk <= self.disk_gib
        )


def choose(
    hosts: Iterable[HostState], flavor: Flavor, now: datetime, *, excluded: frozenset[HostName] = frozenset()
) -> HostName:
    """The live, enabled host with most free memory that `flavor` fits on; ties go by name.

    Raises Exhausted when there is none.
    """
    fitting = [
        host
        for host in hosts
        if host.name not in excluded and host.is_enabled and host.is_alive(now) and host.has_room(flavor)
    ]
    if not fitting:
        raise Exhausted("No valid host was found. There are not enough hosts available.", kind="NoValidHost")
    return min(fitting, key=lambda host: (host.used_memory_mib - host.memory_mib, host.name)).name
