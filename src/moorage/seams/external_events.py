"""What the network asks of compute: to be told that a port is ready (hop told)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from moorage.domain.events import ExternalEvent


@dataclass(frozen=True)
class Answer:
    """`status` is the whole request's HTTP status; `codes` one for each event, in order, if it was read at all."""

    status: int
    codes: tuple[int, ...] = ()
    reason: str = ""


class ExternalEvents(Protocol):
    async def post(self, events: Sequence[ExternalEvent]) -> Answer:
        """POST os-server-external-events, 10 s at most. Answers of any status are returned, not raised.

        Raises Unavailable when nobody answered.
        """
