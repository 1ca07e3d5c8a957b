"""How soon `moorage up` answers, what it takes at rest, and what logins cost the others."""

import asyncio
import socket
import sys
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp

from moorage.app.bench import Spread, spread
from moorage.app.client import Client
from moorage.app.clouds_yaml import MEMBER, find_account
from moorage.app.processes import control_plane, rss_mib
from moorage.domain.errors import Unavailable

ANSWERS_WITHIN = 60.0  # seconds
REST = 2.0  # seconds until it has nothing left to do
ENDS_WITHIN = 30.0  # seconds


@dataclass(frozen=True)
class Start:
    """`others_ms` is how long other requests take while nobody logs in; `others_in_logins_ms`, while logins run."""

    first_answer_s: float
    idle_rss_mib: float
    login_ms: Spread
    others_ms: Spread
    others_in_logins_ms: Spread


async def start(place: Path, *, logins: int) -> Start:
    """Run `moorage up` on simulated hosts, in `place`. Raises Unavailable when it does not answer."""
    async with _up(place) as (pid, took):
        account = find_account(MEMBER, place / "s" / "clouds.yaml", {})
        async with aiohttp.ClientSession() as session:
            client = Client(session, account)
            await client.log_in()
            await asyncio.sleep(REST)
            rss = rss_mib(control_plane(pid))

            async def other() -> None:
                await client.call("GET", "compute", "/flavors")

            quiet = [await _ms(other) for _ in range(logins)]
            login_times, others = await _beside(client.log_in, other, logins)
    return Start(round(took, 3), round(rss, 1), spread(login_times), spread(quiet), spread(others))


def start_json(found: Start) -> dict[str, Any]:
    return asdict(found)


async def _beside(
    login: Callable[[], Awaitable[None]], other: Callable[[], Awaitable[None]], logins: int
) -> tuple[Sequence[float], Sequence[float]]:
    """So many logins, one after the other, and how long other requests take meanwhile; ms each."""
    others: list[float] = []
    ended = asyncio.Event()

    async def ask() -> None:
        while not ended.is_set():
            others.append(await _ms(other))

    async with asyncio.TaskGroup() as group:
        group.create_task(ask())
        times = [await _ms(login) for _ in range(logins)]
        ended.set()
    return times, others


async def _ms(act: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await act()
    return (time.perf_counter() - began) * 1000


@asynccontextmanager
async def _up(place: Path) -> AsyncIterator[tuple[int, float]]:
    """A cloud of its own: its pid, and after how many seconds its API had answered."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listen = f"127.0.0.1:{port}"
    command = ["-m", "moorage.cli.entry", "up", "--host-kind", "simulated", "--listen", listen]
    with (place / "up.log").open("wb") as log:
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, "--state-dir", str(place / "s"), stdin=DEVNULL, stdout=log, stderr=log
        )
    try:
        await _answered(port)
        yield process.pid, time.perf_counter() - began
    finally:
        process.terminate()
        async with asyncio.timeout(ENDS_WITHIN):
            await process.wait()


async def _answered(port: int) -> None:
    """Returns when the cloud has answered a request. Raises Unavailable."""
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:  # nobody listens yet
                    await asyncio.sleep(0.005)
                    continue
                writer.write(b"GET /identity/v3 HTTP/1.0\r\n\r\n")
                said = await reader.readline()
                writer.close()
                if b" 200 " in said:
                    return
    except TimeoutError:
        raise Unavailable(f"moorage up has not answered within {ANSWERS_WITHIN:g} s") from None
