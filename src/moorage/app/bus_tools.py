"""What people can do about a RabbitMQ: look at its dead letters, and make the users of hosts."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moorage.app.buses import url_of_own_broker
from moorage.app.config import MEMORY, RABBITMQ
from moorage.domain.errors import Invalid, MoorageError
from moorage.domain.ids import HostName
from moorage.seams.dead_letters import DeadLetter, DeadLetters
from moorage.wire.times import exact


def dead_letters_of(bus: str | None, cloud: Path) -> DeadLetters:
    """Those of the bus that is named, else of the RabbitMQ that the cloud in this directory runs. Raises Invalid."""
    from moorage.adapters.rabbitmq.dead_letters import RabbitDeadLetters
    from moorage.adapters.rabbitmq.settings import settings_of

    url = url_of_own_broker(cloud / RABBITMQ) if bus in (None, RABBITMQ) else bus
    if url is None or url == MEMORY:
        raise Invalid(
            "no cloud's RabbitMQ runs here: name one by --bus amqp://USER:PASSWORD@HOST/VHOST, or MOORAGE_BUS"
        )
    return RabbitDeadLetters(settings_of(url))


async def with_each(
    letters: Sequence[str], act: Callable[[str], Awaitable[None]]
) -> AsyncIterator[tuple[str, str | None]]:
    """What became of each letter: None when all went well, else why not."""
    for letter in letters:
        try:
            await act(letter)
        except MoorageError as error:
            yield letter, error.message
        else:
            yield letter, None


def shown(letter: DeadLetter) -> Mapping[str, Any]:
    """As JSON. The body is text, or what can be shown of it."""
    return {
        "id": letter.id,
        "queue": letter.queue,
        "message": letter.kind,
        "why": letter.why,
        "sender": letter.sender,
        "sent_at": exact(letter.sent_at),
        "died_at": exact(letter.died_at),
        "age_s": round((datetime.now(UTC) - letter.died_at).total_seconds(), 1),
        "body": letter.body.decode(errors="backslashreplace"),
    }


def host_user(host: str, vhost: str) -> tuple[Sequence[str], Mapping[str, Any]]:
    """The lines that make a host's user, and the definitions that do the same with a new password. Raises Invalid."""
    from moorage.adapters.rabbitmq import permissions

    if not host or not host.isprintable() or set(host) & set(" */#'\""):
        raise Invalid(f"{host!r} is no host's name")
    made = permissions.definitions(HostName(host), vhost, secrets.token_urlsafe(24))
    return permissions.commands(HostName(host), vhost), made
