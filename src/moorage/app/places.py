"""Where hosts keep what is theirs."""

from pathlib import Path

from moorage.domain.ids import HostName


def state_of(state: Path, host: HostName) -> Path:
    """What a host keeps, below the cloud's state."""
    return state / "hosts" / host
