"""ovs-vswitchd's own control socket, for what neither its database nor OpenFlow can be told: how many connections a
zone may hold. It is forgotten when ovs-vswitchd ends."""

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from moorage.domain.errors import Unavailable
from moorage.kit.translating import translating

MOST = 65_536  # bytes of an answer


class Control:
    """The socket in `rundir`, whichever of its two names it has."""

    def __init__(self, rundir: Path, *, timeout: float = 2.0) -> None:  # seconds, for each request
        self._rundir = rundir
        self._timeout = timeout

    async def limit(self, zones: Collection[int], connections: int) -> None:
        """Let each of these zones hold so many. One by one: a default would be for all of them together (Open vSwitch
        3.1, userspace datapath). Raises Unavailable."""
        await self._ask("dpctl/ct-set-limits", [f"zone={zone},limit={connections}" for zone in sorted(zones)])

    async def _ask(self, method: str, params: list[str]) -> None:
        with translating({OSError: Unavailable, ValueError: Unavailable}, method):  # TimeoutError is an OSError
            async with asyncio.timeout(self._timeout):
                reader, writer = await asyncio.open_unix_connection(self._path())
                try:
                    writer.write(msgspec.json.encode({"id": 0, "method": method, "params": params}))
                    answer = await _answer(reader)
                finally:
                    writer.close()
        if answer.get("error") is not None:
            raise Unavailable(f"{method}: {answer['error']}")

    def _path(self) -> str:
        ours = self._rundir / "ovs-vswitchd.ctl"
        if ours.exists():
            return str(ours)
        pid = (self._rundir / "ovs-vswitchd.pid").read_text().strip()
        return str(self._rundir / f"ovs-vswitchd.{pid}.ctl")


async def _answer(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The one JSON object that is sent; nothing says where it ends. Raises ValueError, ConnectionError."""
    read = b""
    while len(read) < MOST:
        more = await reader.read(MOST)
        if not more:
            raise ConnectionError("it hung up")
        read += more
        try:
            answer: dict[str, Any] = msgspec.json.decode(read, type=dict[str, Any])
        except msgspec.DecodeError:
            continue
        return answer
    raise ValueError("an answer without end")
