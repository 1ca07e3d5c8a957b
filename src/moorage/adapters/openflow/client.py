"""An OpenFlow client of one bridge that connects again for ever, and says so each time."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Never

import structlog

from moorage.adapters.openflow.conversation import Conversation
from moorage.adapters.openflow.messages import Message
from moorage.domain.errors import Unavailable
from moorage.kit.translating import translating

log = structlog.get_logger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5  # seconds before connecting again


class OpenFlowClient:
    """Give `run` to a supervisor; then batches work.

    `turned(is_up)` is called when the connection was made or lost; what was sent before it was lost may be gone
    (vswitchd was restarted). It must not raise. `path` is the bridge's management socket.
    """

    def __init__(
        self,
        path: str,
        turned: Callable[[bool], None],
        *,
        timeout: float = 10.0,  # seconds, for each batch
        patience: float = 1.0,  # seconds that a batch waits for the connection to be made
        on_sent: Callable[[], None] = lambda: None,  # called for each batch
    ) -> None:
        self._path = path
        self._turned = turned
        self._timeout = timeout
        self._patience = patience
        self._on_sent = on_sent
        self._conversation: Conversation | None = None
        self._up = asyncio.Event()
        self._soon = asyncio.Event()

    @property
    def is_up(self) -> bool:
        return self._up.is_set()

    async def run(self) -> Never:
        """Keep connected until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._once()
                pause = _FIRST_PAUSE
                log.warning("the connection to the bridge was lost", path=self._path)
            except (OSError, ValueError) as error:
                log.debug("the bridge cannot be reached", path=self._path, error=str(error))
            self._soon.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._soon.wait()
                    pause = _FIRST_PAUSE / 2
            pause = min(pause * 2, _LONGEST_PAUSE)

    def connect_soon(self) -> None:
        """The bridge should be there by now: do not wait out the pause."""
        self._soon.set()

    async def connected(self) -> None:
        """Wait for the connection, `patience` at most. Raises Unavailable."""
        if self._up.is_set():
            return
        with translating({TimeoutError: Unavailable}, f"not connected to the bridge at {self._path}"):
            async with asyncio.timeout(self._patience):
                await self._up.wait()

    def start(self, messages: Mapping[str, Sequence[Message]]) -> asyncio.Future[Mapping[str, str]]:
        """Send a batch now; for those who wait for several things at once. It and the future raise ConnectionError."""
        if self._conversation is None:
            raise ConnectionError("not connected to the bridge")
        self._on_sent()
        return self._conversation.send(messages)

    async def send(self, messages: Mapping[str, Sequence[Message]], act: str) -> Mapping[str, str]:
        """Who was refused, and why, when the bridge has carried the rest out. Raises Unavailable."""
        await self.connected()
        with translating({OSError: Unavailable}, act):  # TimeoutError is an OSError
            async with asyncio.timeout(self._timeout):
                return await self.start(messages)

    async def cookies(self) -> Sequence[int]:
        """The cookies of all flows that the bridge has, one for each. Raises Unavailable."""
        await self.connected()
        with translating({OSError: Unavailable}, "asking for the bridge's flows"):
            async with asyncio.timeout(self._timeout):
                if self._conversation is None:
                    raise ConnectionError("not connected to the bridge")
                return await self._conversation.ask_for_flows()

    async def _once(self) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._timeout):
            _, conversation = await loop.create_unix_connection(Conversation, self._path)
        try:
            async with asyncio.timeout(self._timeout):
                await conversation.greeted.wait()
            if conversation.ended.is_set():
                raise ConnectionError("the bridge hung up")
            self._conversation = conversation
            self._up.set()
            log.info("connected to the bridge", path=self._path)
            self._turned(True)
            await conversation.ended.wait()
        finally:
            conversation.close()
            self._conversation = None
            if self._up.is_set():
                self._up.clear()
                self._turned(False)
