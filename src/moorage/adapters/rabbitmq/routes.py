"""Which exchange, key and queue a message takes, what lasts, and for how long (docs/adr/0007 says why)."""

from collections.abc import Mapping
from typing import Any

from moorage.domain.hops import Crossing
from moorage.domain.ids import HostName
from moorage.wire.messages import DoJob, GroupsChanged, HostEvents, PortsChanged

SERVICES = "moorage.services"  # direct; hosts and services write
HOSTS = "moorage.hosts"  # topic, so that a host can be held to its own keys; services write
REPLIES = "moorage.replies"  # topic, for the same reason
DEAD = "moorage.dead"  # direct; and the queue of what was set aside
EXCHANGES: Mapping[str, str] = {SERVICES: "direct", HOSTS: "topic", REPLIES: "topic", DEAD: "direct"}

# Nothing but calls goes through these: who calls calls again, so they need not outlast the broker's memory.
PASSING = frozenset({"network", "compute-api"})
# Seconds after which a cast that nobody has taken is of no use.
GOOD_FOR: Mapping[type, float] = {
    DoJob: 3600.0,  # a host that comes back reads what is unfinished
    HostEvents: 3600.0,  # … and who waits on it looks at the ports
    PortsChanged: 60.0,  # an agent looks at everything each 10 s
    GroupsChanged: 60.0,
}
LONGEST = 86_400.0  # … for all others
MOST_DEAD = 10_000  # messages that were set aside and are kept; the oldest go first
# RabbitMQ 4 drops a message after 20 deliveries where nothing is said; we look at the count ourselves, far below this.
MOST_DELIVERIES = 1000


def crossing_of(queue: str) -> Crossing:
    """The way to the queue that the seam calls `queue`."""
    return Crossing(HOSTS if queue.startswith(("compute.", "agent.")) else SERVICES, queue, queue)


def is_replicated(queue: str) -> bool:
    """Whether it is a quorum queue: what is in it survives the death of its node."""
    return queue not in PASSING


def arguments_of(queue: str, size: int) -> dict[str, Any]:
    """How the queue is declared, durable: `size` messages may wait, more are refused."""
    bound = {"x-max-length": size, "x-overflow": "reject-publish"}
    if is_replicated(queue):
        return {"x-queue-type": "quorum", "x-delivery-limit": MOST_DELIVERIES, **bound}
    return {"x-queue-type": "classic", **bound}


def dead_arguments() -> dict[str, Any]:
    return {"x-queue-type": "classic", "x-max-length": MOST_DEAD, "x-overflow": "drop-head"}


def reply_queue(host: HostName | None, token: str) -> str:
    """Where the answers to one process's calls go; `token` is hexadecimal."""
    return f"reply.service.{token}" if host is None else f"reply.host.{host}.{token}"
