"""How a message crossed the bus, for the facts that are told of it: noted by the bus's adapter, read by the timeline.

Nothing is passed by hand: what is noted belongs to the piece of work that sent the message, or that it started.
"""

from contextvars import ContextVar

from moorage.domain.hops import Crossing

_sent: ContextVar[Crossing | None] = ContextVar("sent", default=None)
_handled: ContextVar[Crossing | None] = ContextVar("handled", default=None)


def note_sent(crossing: Crossing) -> None:
    """By the sender's adapter: the bus has taken the message."""
    _sent.set(crossing)


def note_handled(crossing: Crossing) -> None:
    """By the receiver's adapter, in the task that handles the message, before it does."""
    _handled.set(crossing)


def last_sent() -> Crossing | None:
    """How this piece of work last sent something; None when it has not, or on a bus in memory."""
    return _sent.get()


def being_handled() -> Crossing | None:
    """How the message came that this piece of work handles."""
    return _handled.get()
