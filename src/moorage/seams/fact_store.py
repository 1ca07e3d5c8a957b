"""Where the facts of all boots are kept."""

from collections.abc import Sequence
from typing import Protocol

from moorage.domain.hops import Fact
from moorage.domain.ids import ServerId


class FactStore(Protocol):
    async def add(self, facts: Sequence[Fact]) -> None:
        """Keep facts. Told twice they are kept twice: readers take the first. Raises Unavailable."""

    async def of(self, server: ServerId) -> Sequence[Fact]:
        """The facts of a server, and those of its ports that named no server, in the order of their times."""

    async def forget(self, *, keep: int) -> int:
        """Drop all but the newest `keep` facts; how many went."""
