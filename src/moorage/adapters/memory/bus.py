"""The bus in memory: bounded queues by name, at least once, in order."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import Never

import structlog

from moorage.domain import errors
from moorage.domain.errors import MoorageError, Unavailable
from moorage.seams.bus import Handler
from moorage.wire.messages import Envelope, Failed, Message, decode, encode

log = structlog.get_logger(__name__)

FIRST_DELAY = 0.1  # seconds until a cast whose handler was Unavailable comes again; doubles
LONGEST_DELAY = 5.0  # seconds


@dataclass(eq=False)
class _Item:
    raw: bytes
    answer: asyncio.Future[bytes] | None = None
    tries: int = 0


@dataclass
class _Queue:
    items: deque[_Item] = field(default_factory=deque)
    is_filled: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, item: _Item) -> None:
        self.items.append(item)
        self.is_filled.set()

    def put_back(self, item: _Item) -> None:
        self.items.appendleft(item)
        self.is_filled.set()

    async def get(self) -> _Item:
        while not self.items:
            self.is_filled.clear()
            await self.is_filled.wait()
        return self.items.popleft()


class MemoryBus:
    """Messages cross it as bytes, as they would cross RabbitMQ, so that no two services ever share an object."""

    def __init__(self, *, size: int = 10_000, at_once: int = 200) -> None:
        self._queues: dict[str, _Queue] = {}
        self._size = size  # messages in a queue
        self._at_once = at_once  # messages of one queue handled side by side

    async def cast(self, queue: str, message: Message) -> None:
        self._put(queue, _Item(self._sealed(message)))

    async def call(self, queue: str, message: Message, *, timeout: float = 10.0) -> Message:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._put(queue, _Item(self._sealed(message), answer))
        try:
            async with asyncio.timeout(timeout):
                raw = await answer
        except TimeoutError:
            raise Unavailable(f"{queue} did not answer {type(message).__name__} within {timeout:g} s") from None
        body = decode(raw).body
        if isinstance(body, Failed):
            raise _error_of(body)
        return body

    async def serve(self, queue: str, handler: Handler) -> Never:
        waiting = self._queue(queue)
        free = asyncio.Semaphore(self._at_once)
        under_way: dict[_Item, None] = {}
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await free.acquire()
                    item = await waiting.get()
                    under_way[item] = None
                    task = group.create_task(self._answer(waiting, item, handler))
                    task.add_done_callback(partial(_ended, item, under_way, free))
        finally:
            for item in reversed(under_way):  # the server went away in the middle: another one shall have them
                waiting.put_back(item)
        raise AssertionError("a queue's loop ended")

    def depth(self, queue: str) -> int:
        """How many messages wait in a queue."""
        return len(self._queue(queue).items)

    async def _answer(self, queue: _Queue, item: _Item, handler: Handler) -> None:
        if item.answer is not None and item.answer.done():
            return  # the caller has given up
        envelope = decode(item.raw)
        with structlog.contextvars.bound_contextvars(request_id=envelope.request_id):
            try:
                reply = await handler(envelope.body)
            except MoorageError as error:
                if item.answer is None and isinstance(error, Unavailable):
                    delay = min(FIRST_DELAY * (1 << min(item.tries, 10)), LONGEST_DELAY)
                    item.tries += 1
                    asyncio.get_running_loop().call_later(delay, queue.put, item)
                    return
                if item.answer is None:
                    log.warning(
                        "a message could not be handled", message=type(envelope.body).__name__, error=str(error)
                    )
                reply = Failed(error=type(error).__name__, kind=error.kind, message=error.message)
            except Exception as error:
                log.exception("a handler failed", message=type(envelope.body).__name__)
                reply = Failed(error="Unavailable", kind="", message=f"internal error: {type(error).__name__}")
        if item.answer is not None and not item.answer.done():
            if reply is None:
                reply = Failed(error="Invalid", kind="", message=f"nobody answers {type(envelope.body).__name__}")
            item.answer.set_result(encode(Envelope(body=reply)))

    def _sealed(self, message: Message) -> bytes:
        request_id = structlog.contextvars.get_contextvars().get("request_id", "")
        return encode(Envelope(body=message, request_id=request_id))

    def _queue(self, name: str) -> _Queue:
        return self._queues.setdefault(name, _Queue())

    def _put(self, name: str, item: _Item) -> None:
        queue = self._queue(name)
        if len(queue.items) >= self._size:
            raise Unavailable(f"the queue {name} is full: {self._size} messages wait")
        queue.put(item)


def _ended(item: _Item, under_way: dict[_Item, None], free: asyncio.Semaphore, task: asyncio.Task[None]) -> None:
    free.release()
    if not task.cancelled():
        del under_way[item]


def _error_of(failed: Failed) -> MoorageError:
    kind = getattr(errors, failed.error, None)
    if isinstance(kind, type) and issubclass(kind, MoorageError):
        return kind(failed.message, kind=failed.kind)
    return Unavailable(failed.message, kind=failed.kind)
