"""Dead letters of the bus in memory."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import uuid4

import structlog

from moorage.domain.errors import NotFound
from moorage.seams.dead_letters import DeadLetter

log = structlog.get_logger(__name__)

MOST = 10_000


class MemoryDeadLetters:
    """`put(queue, body)` sends once more; it raises Unavailable."""

    def __init__(self, put: Callable[[str, bytes], None]) -> None:
        self._put = put
        self._letters: OrderedDict[str, DeadLetter] = OrderedDict()

    def add(self, queue: str, kind: str, why: str, body: bytes, sent_at: datetime) -> None:
        log.error("a message was set aside", queue=queue, message=kind, why=why)
        letter = DeadLetter(str(uuid4()), queue, kind, why, "", sent_at, datetime.now(UTC), body)
        self._letters[letter.id] = letter
        if len(self._letters) > MOST:
            self._letters.popitem(last=False)

    async def list(self, *, most: int = 1000) -> Sequence[DeadLetter]:
        return list(self._letters.values())[:most]

    async def send_again(self, letter: str) -> None:
        found = self._found(letter)
        self._put(found.queue, found.body)
        del self._letters[letter]

    async def drop(self, letter: str) -> None:
        del self._letters[self._found(letter).id]

    def _found(self, letter: str) -> DeadLetter:
        if letter not in self._letters:
            raise NotFound(f"there is no dead letter {letter}")
        return self._letters[letter]
