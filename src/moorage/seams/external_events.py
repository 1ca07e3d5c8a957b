"""What the network asks of compute: to be told that a port is ready (hop told)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from moorage.domain.events import ExternalEvent


@dataclass(frozen=True)
class Answer:
    """`status` is the whole request's HTTP status; `codes` one for each event, in order, if it was read at all.

    200 and 207: the codes out of the body. A 404 whose body is Nova's own ({"itemNotFound": …}; old Novas answer so
    when no server is known) is each event's 404: the adapter fills `codes` with 404s. A 404 of any other body (a wrong
    URL, a proxy) leaves `codes` empty, as does whatever else was not read. `reason` is a line for the log.
    """

    status: int
    codes: tuple[int, ...] = ()
    reason: str = ""


class ExternalEvents(Protocol):
    async def post(self, events: Sequence[ExternalEvent]) -> Answer:
        """POST os-server-external-events, 10 s at most. Answers of any status are returned, not raised.

        Raises Unavailable when nobody answered.
        """
