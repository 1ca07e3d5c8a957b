"""The QMP connection to one guest's QEMU (sub-fact held, hop running)."""

import asyncio
import logging
import socket
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from qemu.qmp import QMPClient, QMPError, Runstate

from moorage.domain.errors import Unavailable
from moorage.kit.translating import translating

QMP_TIMEOUT = 5.0  # seconds for one command
FOREIGN: Mapping[tuple[type[BaseException], ...] | type[BaseException], type[Exception]] = {
    (QMPError, OSError, EOFError, TimeoutError): Unavailable
}

# It calls the end of a connection, which is how every guest ends, an error.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


class Monitor:
    """Connects when it is first needed and again after the connection broke. QEMU takes one connection at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._client: QMPClient | None = None
        self._connecting = asyncio.Lock()

    async def status(self) -> str:
        """QEMU's run state: prelaunch, running, paused, shutdown, … Raises Unavailable."""
        answer: Any = await self.execute("query-status")
        return str(answer["status"])

    async def execute(self, command: str, arguments: Mapping[str, object] | None = None) -> object:
        """What QEMU returns. Raises Unavailable when it refuses, or does not answer."""
        with translating(FOREIGN, f"QMP {command}"):
            async with asyncio.timeout(QMP_TIMEOUT):
                client = await self._connected()
                return await client.execute(command, arguments)

    async def execute_until(self, command: str, event: str, *, patience: float, again: float) -> bool:
        """Execute, each `again` seconds, until the event: whether it came within `patience` seconds."""
        with translating(FOREIGN, f"QMP {command}"):
            async with asyncio.timeout(QMP_TIMEOUT):
                client = await self._connected()
            with client.listener((event,)) as heard:
                give_up = asyncio.get_running_loop().time() + patience
                while (left := give_up - asyncio.get_running_loop().time()) > 0:
                    await self.execute(command)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(min(left, again)):
                            await heard.get()
                            return True
        return False

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):  # what ended the connection was told to whoever used it
                await client.disconnect()

    async def _connected(self) -> QMPClient:
        async with self._connecting:
            if self._client is not None and self._client.runstate is Runstate.RUNNING:
                return self._client
            await self.close()
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            with ExitStack() as unless_connected:
                unless_connected.callback(connection.close)
                await asyncio.get_running_loop().sock_connect(connection, str(self._path))
                client = QMPClient()
                await client.connect(connection)
                unless_connected.pop_all()
            self._client = client
            return client
