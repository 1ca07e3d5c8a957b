"""An L2 agent as the network knows it: by its heartbeats."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from moorage.domain.ids import HostName

DEAD_AFTER = timedelta(seconds=10)  # heartbeats are due each 3 s


@dataclass(frozen=True)
class Agent:
    """One for each host. `has_dhcp`: it can also run DHCP servers. `devices`: how many VIFs it has looked at;
    `pending`: how many more it has found and not come to yet, while it catches up.
    """

    id: str
    host: HostName
    created_at: datetime
    started_at: datetime
    heard_at: datetime
    has_dhcp: bool = False
    devices: int = 0
    pending: int = 0
    admin_state_up: bool = True
    description: str = ""


def is_alive(agent: Agent, now: datetime) -> bool:
    """Whether it was heard of late, so that a port may be bound to its host."""
    return now - agent.heard_at < DEAD_AFTER
