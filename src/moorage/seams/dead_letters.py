"""Casts that no server could be made to handle, kept for people to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class DeadLetter:
    """`why` is for people. `sender` is the bus's user that sent it, "" on a bus that has none."""

    id: str
    queue: str
    kind: str  # the class of the message, as its sender says
    why: str
    sender: str
    sent_at: datetime
    died_at: datetime
    body: bytes


class DeadLetters(Protocol):
    """The oldest go when there are too many (10,000)."""

    async def list(self, *, most: int = 1000) -> Sequence[DeadLetter]:
        """The first that died first. Raises Unavailable."""

    async def send_again(self, letter: str) -> None:
        """To its queue, once more; then it is dead no longer.

        Raises NotFound, Unavailable (also when the queue is full), Forbidden when its sender may not send there.
        """

    async def drop(self, letter: str) -> None:
        """Raises NotFound, Unavailable."""
