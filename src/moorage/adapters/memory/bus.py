"""The bus in memory: bounded queues by name, at least once."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Never

import msgspec
import structlog

from moorage.adapters.memory.changes import Changes
from moorage.adapters.memory.dead_letters import MemoryDeadLetters
from moorage.domain.errors import MoorageError, Unavailable
from moorage.kit.log_context import request_id
from moorage.seams.bus import MOST_FAILURES, Handler, delay_before
from moorage.wire.failures import error_of, failed, internal
from moorage.wire.messages import Envelope, Failed, Message, decode, encode

log = structlog.get_logger(__name__)


@dataclass(eq=False)
class _Item:
    raw: bytes
    kind: str  # the class of the message
    sent_at: datetime
    answer: asyncio.Future[bytes] | None = None  # None: a cast
    tries: int = 0
    failures: int = 0  # of those, the ones for which its handler had no reason

    @property
    def is_given_up(self) -> bool:
        return self.answer is not None and self.answer.done()

    def reply(self, message: Message) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(encode(Envelope(body=message)))


@dataclass
class _Queue:
    """Exists from its first server on. `size` bounds what waits, what is being handled and what waits to come again."""

    name: str
    size: int  # messages
    items: deque[_Item] = field(default_factory=deque)
    taken: int = 0  # handed out, and not yet done
    is_filled: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, item: _Item) -> bool:
        """Whether there was room. Calls that nobody waits for any more make some."""
        if len(self.items) + self.taken >= self.size:
            self.items = deque(item for item in self.items if not item.is_given_up)
        if len(self.items) + self.taken >= self.size:
            return False
        self.items.append(item)
        self.is_filled.set()
        return True

    async def take(self) -> _Item:
        """The next; `done`, `put_back` or `put_last` must follow."""
        while not self.items:
            self.is_filled.clear()
            await self.is_filled.wait()
        self.taken += 1
        return self.items.popleft()

    def done(self) -> None:
        self.taken -= 1

    def put_back(self, item: _Item) -> None:
        self.taken -= 1
        self.items.appendleft(item)
        self.is_filled.set()

    def put_last(self, item: _Item) -> None:
        self.taken -= 1
        self.items.append(item)
        self.is_filled.set()


class MemoryBus:
    """Messages cross it as bytes, as they would cross RabbitMQ, so that no two services ever share an object."""

    def __init__(self, *, size: int = 10_000, at_once: int = 200) -> None:
        self._queues: dict[str, _Queue] = {}
        self._size = size  # messages in a queue
        self._at_once = at_once  # messages of one queue handled side by side
        self._calls: set[asyncio.Future[bytes]] = set()  # not answered yet
        self._is_up = asyncio.Event()
        self._is_up.set()
        self._reconnects = Changes()
        self.dead = MemoryDeadLetters(lambda queue, body: self._put(queue, _Item(body, "", datetime.now(UTC))))

    async def cast(self, queue: str, message: Message) -> None:
        self._put(queue, _item(message))

    async def call(self, queue: str, message: Message, *, timeout: float = 10.0) -> Message:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._put(queue, _item(message, answer))
        self._calls.add(answer)
        try:
            async with asyncio.timeout(timeout):
                raw = await answer
        except TimeoutError:
            raise Unavailable(f"{queue} did not answer {type(message).__name__} within {timeout:g} s") from None
        finally:
            self._calls.discard(answer)
        body = decode(raw).body
        if isinstance(body, Failed):
            raise error_of(body)
        return body

    async def serve(self, queue: str, handler: Handler) -> Never:
        served = self._queues.setdefault(queue, _Queue(queue, self._size))
        await _Serving(served, handler, self._at_once, self._is_up, self.dead).run()
        raise AssertionError("a queue's loop ended")

    def reconnects(self) -> AsyncIterator[None]:
        return self._reconnected_after(self._reconnects.count)

    async def interrupt(self, away: float = 0.0) -> None:
        """A fault: the bus is lost for `away` seconds, and back when this returns.

        Calls under way, and all casts and calls meanwhile, fail with Unavailable. What was taken is handed out after.
        """
        self._is_up.clear()
        for answer in self._calls:
            if not answer.done():
                answer.set_exception(Unavailable("the bus was lost before the answer came"))
        try:
            await asyncio.sleep(away)
        finally:
            self._is_up.set()
            self._reconnects.tell()

    async def _reconnected_after(self, seen: int) -> AsyncIterator[None]:
        while True:
            await self._reconnects.after(seen)
            seen = self._reconnects.count
            yield

    def _put(self, name: str, item: _Item) -> None:
        if not self._is_up.is_set():
            raise Unavailable("the bus is lost")
        if name not in self._queues:
            raise Unavailable(f"nobody has served {name} yet")
        if not self._queues[name].put(item):
            raise Unavailable(f"the queue {name} is full: {self._size} messages are not done")


class _Serving:
    """One server of a queue, with the messages that it has taken and not finished."""

    def __init__(
        self, queue: _Queue, handler: Handler, at_once: int, is_up: asyncio.Event, dead: MemoryDeadLetters
    ) -> None:
        self._queue = queue
        self._handler = handler
        self._free = asyncio.Semaphore(at_once)
        self._is_up = is_up
        self._dead = dead
        self._under_way: dict[asyncio.Task[bool], _Item] = {}
        self._is_ending = False

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                try:
                    while True:
                        await self._free.acquire()
                        await self._is_up.wait()
                        item = await self._queue.take()
                        task = group.create_task(self._answered(item))
                        self._under_way[task] = item
                        task.add_done_callback(self._ended)
                finally:
                    self._is_ending = True
        finally:
            for item in reversed(self._under_way.values()):  # cut off in the middle: another server shall have them
                self._queue.put_back(item)

    def _ended(self, task: asyncio.Task[bool]) -> None:
        self._free.release()
        if task.cancelled() and self._is_ending:
            return  # stays under way
        item = self._under_way.pop(task)
        if task.cancelled():  # by its own doing
            log.error("a handler was cancelled")
            item.reply(internal("cancelled"))
            self._set_aside(item, "its handler cancelled itself")
        if task.cancelled() or task.result():
            self._queue.done()
            return
        item.tries += 1
        asyncio.get_running_loop().call_later(delay_before(item.tries), self._queue.put_last, item)

    async def _answered(self, item: _Item) -> bool:
        """Handle a message. False for a cast that shall come again."""
        if item.is_given_up:
            return True
        try:
            envelope = decode(item.raw)
        except msgspec.DecodeError as error:
            log.warning("a message was refused", queue=self._queue.name, error=str(error))
            item.reply(failed(error))
            self._set_aside(item, f"refused: {error}")
            return True
        name = type(envelope.body).__name__
        try:
            with structlog.contextvars.bound_contextvars(request_id=envelope.request_id):
                reply = await self._handler(envelope.body)
            item.reply(reply or Failed(error="Invalid", kind="", message=f"nobody answers {name}"))
        except MoorageError as error:
            if item.answer is None and isinstance(error, Unavailable):
                return False
            if item.answer is None:
                log.warning("a message could not be handled", message=name, error=str(error))
            item.reply(failed(error))
        except Exception as error:
            log.exception("a handler failed", message=name)
            item.reply(failed(error))
            item.failures += 1
            if item.failures < MOST_FAILURES and item.answer is None:
                return False
            self._set_aside(item, f"its handler failed {item.failures} times: {error!r}")
        return True

    def _set_aside(self, item: _Item, why: str) -> None:
        if item.answer is None:
            self._dead.add(self._queue.name, item.kind, why, item.raw, item.sent_at)


def _item(message: Message, answer: asyncio.Future[bytes] | None = None) -> _Item:
    raw = encode(Envelope(body=message, request_id=request_id()))
    return _Item(raw, type(message).__name__, datetime.now(UTC), answer)
