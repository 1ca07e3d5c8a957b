"""A bus on which chosen messages are lost, come twice, late, or after those that were sent after them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum
from functools import partial
from typing import Any, Never

from tests.story.faults import Faults, message_name

from moorage.domain.errors import MoorageError, Unavailable
from moorage.seams.bus import Bus, Handler
from moorage.wire.messages import Message

HELD = 1.0  # seconds that a message waits for another to overtake it


class Mishap(StrEnum):
    LOST = "the message is lost"
    UNANSWERED = "the message is handled, its answer is lost"
    TWICE = "the message comes twice"
    LATE = "the message comes late"
    OVERTAKEN = "the message comes after the next one"


class MishapBus:
    """Fulfils Bus on `real`; which messages meet what is for `mishaps` to say. What is late or a double is carried on
    behind its sender's back, by `run`."""

    def __init__(self, real: Bus, mishaps: Faults) -> None:
        self.real = real
        self._mishaps = mishaps
        self._group: asyncio.TaskGroup | None = None
        self._passed: dict[str, asyncio.Event] = {}

    async def run(self) -> Never:
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.get_running_loop().create_future()
        raise AssertionError("it waits for ever")

    async def cast(self, queue: str, message: Message) -> None:
        match self._met(queue, message):
            case Mishap.LOST | Mishap.UNANSWERED:
                return
            case Mishap.LATE:
                self._leave(self._after_a_while(partial(self.real.cast, queue, message)))
            case Mishap.OVERTAKEN:
                self._leave(self._after_another(queue, partial(self.real.cast, queue, message)))
            case Mishap.TWICE:
                await self.real.cast(queue, message)
                await self.real.cast(queue, message)
            case _:
                await self.real.cast(queue, message)
        self._pass(queue)

    async def call(self, queue: str, message: Message, *, timeout: float = 10.0) -> Message:
        mishap = self._met(queue, message)
        call = partial(self.real.call, queue, message, timeout=timeout)
        if mishap is not Mishap.OVERTAKEN:
            self._pass(queue)
        match mishap:
            case Mishap.LOST:
                return await self._silence(timeout)
            case Mishap.UNANSWERED:
                self._leave(call())
                return await self._silence(timeout)
            case Mishap.TWICE:
                self._leave(call())
                return await call()
            case Mishap.LATE:
                return await self._answer_of(self._after_a_while(call), timeout)
            case Mishap.OVERTAKEN:
                return await self._answer_of(self._after_another(queue, call), timeout)
        return await call()

    async def serve(self, queue: str, handler: Handler) -> Never:
        await self.real.serve(queue, handler)
        raise AssertionError("a queue's loop ended")

    def reconnects(self) -> AsyncIterator[None]:
        return self.real.reconnects()

    def _met(self, queue: str, message: Message) -> object:
        return self._mishaps.strikes(f"{queue.partition('.')[0]}{message_name(message)}")

    def _leave(self, work: Awaitable[Any]) -> None:
        self._later(work).add_done_callback(lambda _: None)

    def _later(self, work: Awaitable[Any]) -> "asyncio.Task[Any]":
        assert self._group is not None
        return self._group.create_task(self._carried(work))

    async def _carried(self, work: Awaitable[Any]) -> object:
        self._mishaps.under_way += 1
        try:
            return await work
        except MoorageError as error:
            return error
        finally:
            self._mishaps.under_way -= 1

    async def _answer_of(self, work: Awaitable[Message], timeout: float) -> Message:
        """Its answer, if it comes in time; it goes on if it does not."""
        task = self._later(work)
        done, _ = await asyncio.wait([task], timeout=timeout)
        answer = task.result() if done else Unavailable("a mishap: no answer in time")
        if isinstance(answer, MoorageError):
            raise answer
        return answer  # type: ignore[no-any-return]

    async def _silence(self, timeout: float) -> Never:
        self._mishaps.under_way += 1
        try:
            await asyncio.sleep(timeout)
        finally:
            self._mishaps.under_way -= 1
        raise Unavailable("a mishap: no answer")

    async def _after_a_while(self, send: Callable[[], Awaitable[Any]]) -> Any:
        await asyncio.sleep(self._mishaps.late)
        return await send()

    async def _after_another(self, queue: str, send: Callable[[], Awaitable[Any]]) -> Any:
        passed = self._passed.setdefault(queue, asyncio.Event())
        passed.clear()
        try:
            async with asyncio.timeout(HELD):
                await passed.wait()
        except TimeoutError:
            pass
        return await send()

    def _pass(self, queue: str) -> None:
        if queue in self._passed:
            self._passed[queue].set()
