"""Where each hop of a boot is told. Telling never fails and never slows a boot."""

from collections.abc import Sequence
from typing import Protocol

from moorage.domain.hops import Fact
from moorage.domain.ids import PortId, ServerId


class Timeline(Protocol):
    def tell(self, fact: Fact) -> None:
        """Note a fact. Returns at once, never raises; when too many wait, the oldest are dropped and counted."""


class TimelineReader(Protocol):
    async def facts_of(self, server: ServerId, ports: Sequence[PortId] = ()) -> Sequence[Fact]:
        """All facts of a server and of the ports that were ever its own, in the order of their times."""
