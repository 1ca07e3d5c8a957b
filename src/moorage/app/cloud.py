"""What a running all-in-one lets its owner do and see beyond its APIs: for `up`, `demo`, `experiment` and `bench`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from moorage.app.config import CloudSettings

if TYPE_CHECKING:
    from moorage.app.workbench import Workbench


@dataclass(frozen=True)
class Credentials:
    """One entry of clouds.yaml."""

    user: str
    password: str
    project: str


class Cloud(Protocol):
    settings: CloudSettings
    url: str  # http://127.0.0.1:8780
    credentials: dict[str, Credentials]  # "moorage" (the demo user), "moorage-admin"

    def host_names(self) -> list[str]: ...

    async def stop_agent(self, host: str) -> None:
        """Stop the host's agent as a crash would: it reports nothing more."""

    async def start_agent(self, host: str) -> None:
        """Start it again; returns when its loops run (not when its first look is done)."""

    async def guest_exists(self, server: str) -> bool:
        """Whether any host has anything of this guest."""

    async def switch_has_port(self, port: str) -> bool:
        """Whether any host's switch has this VIF plugged."""

    async def guest_address(self, server: str) -> str | None:
        """The address that the guest itself says it has got, None while it has none."""

    async def ping(self, server: str, address: str, *, patience: float = 5.0) -> bool | None:
        """Whether the guest answers a ping, sent from its network; None where nothing can be pinged (simulated)."""

    async def fetch(self, server: str, address: str, *, port: int = 80, patience: float = 5.0) -> str | None:
        """The page that the guest serves; None where there is none (simulated)."""

    def workbench(self) -> "Workbench":
        """The first host, for benches."""

    async def settled(self) -> None:
        """Returns when the first host's switch has done all that it was told: nothing is left of what ended before."""

    async def floor_round(self) -> float:
        """The bare handshake's time in ms, on the first host's bridge as it is, once that has settled: add-port until
        ofport, tag, ten flows with barrier, one durable commit."""
