"""A ping that runs on while things die: one echo each 10 ms, and which of them were answered."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise

from moorage.adapters.world.reach import echo
from moorage.seams.world import World

EVERY = 0.01  # seconds
LAST = 0.3  # seconds for the last answers


@dataclass
class Pinging:
    """`sent` and `answered` by number: when, on the loop's clock."""

    sent: dict[int, float] = field(default_factory=dict)
    answered: dict[int, float] = field(default_factory=dict)

    def lost(self) -> list[int]:
        return [number for number in self.sent if number not in self.answered]

    def gap(self) -> float:
        """The longest time without an answer, in seconds."""
        times = [*sorted(self.answered.values()), max(self.sent.values())]
        return max((later - earlier for earlier, later in pairwise(times)), default=float("inf"))


@asynccontextmanager
async def pinging(world: World, namespace: str, address: str) -> AsyncIterator[Pinging]:
    """From `namespace`, for the length of a `with`; the first one has been answered when it begins."""
    loop = asyncio.get_running_loop()
    ident = os.getpid() & 0xFFFF
    found = Pinging()

    async def ask() -> None:
        for number in range(1, 1 << 16):
            found.sent[number] = loop.time()
            with suppress(OSError):  # no way there, for the moment
                raw.send(echo(ident, number))
            await asyncio.sleep(EVERY)

    async def listen() -> None:
        while True:
            packet = await loop.sock_recv(raw, 1500)
            kind, _, _, whose, number = struct.unpack_from("!BBHHH", packet, (packet[0] & 0x0F) * 4)
            if kind == 0 and whose == ident:
                found.answered.setdefault(number, loop.time())

    with await world.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP, namespace=namespace) as raw:
        raw.connect((address, 0))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask()), group.create_task(listen())]
            try:
                async with asyncio.timeout(10):
                    while not found.answered:
                        await asyncio.sleep(EVERY)
                first = min(found.answered)
                found.sent = {number: at for number, at in found.sent.items() if number >= first}
                yield found
            finally:
                tasks[0].cancel()
                await asyncio.sleep(LAST)
                tasks[1].cancel()
