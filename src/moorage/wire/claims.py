"""For which host a message speaks, so that nobody speaks for another."""

from moorage.domain.errors import Forbidden
from moorage.domain.ids import HostName
from moorage.wire.messages import Facts, Message


def require_own(message: Message, host: HostName) -> None:
    """Raises Forbidden when what this host has sent names another, or, where it must name one, none."""
    named = {fact.host for fact in message.facts} if isinstance(message, Facts) else {getattr(message, "host", host)}
    if not named <= {host}:
        raise Forbidden(f"host {host} speaks for {', '.join(sorted(map(str, named - {host})))}")
