"""Open vSwitch in a host's world: its database, the database's server, the switch itself; started, and kept alive."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Never

from moorage.app.keeping import keep_running
from moorage.domain.errors import Unavailable
from moorage.seams.world import World

DATABASE_SERVER, VSWITCHD = "ovsdb-server", "ovs-vswitchd"  # what they are called in the world
SOCKET_WITHIN = 5.0  # seconds
DATABASE_WITHIN = 10.0  # seconds


async def start_switch(world: World, rundir: Path) -> None:
    """With an empty database, if it has none yet; what runs already is kept. Raises Unavailable."""
    from moorage.adapters.ovsdb import processes

    if not (rundir / processes.DATABASE).exists():
        tool, words = processes.create_database(rundir), rundir / "ovsdb-tool.log"
        await run_to_its_end(world, tool, words, environment=processes.environment(rundir, os.environ))
    await start_database(world, rundir)
    await start_vswitchd(world, rundir)


def kept_switch(world: World, rundir: Path) -> Sequence[tuple[str, Callable[[], Awaitable[Never]]]]:
    """What must run for a started switch to be started again whenever it dies."""
    return [
        (f"keeping {name}", partial(keep_running, world, name, partial(start, world, rundir)))
        for name, start in ((DATABASE_SERVER, start_database), (VSWITCHD, start_vswitchd))
    ]


async def start_database(world: World, rundir: Path) -> None:
    from moorage.adapters.ovsdb import processes

    environment = processes.environment(rundir, os.environ)
    await world.start(DATABASE_SERVER, processes.ovsdb_server(rundir), environment=environment)


async def start_vswitchd(world: World, rundir: Path) -> None:
    from moorage.adapters.ovsdb import processes

    await until_listening(rundir / "db.sock")  # it tries one that does not answer again only after a second
    environment = processes.environment(rundir, os.environ)
    await world.start(VSWITCHD, processes.vswitchd(rundir), environment=environment)


async def until_listening(path: Path) -> None:
    """Wait for somebody who listens on a socket. Raises Unavailable after 5 s."""
    try:
        async with asyncio.timeout(SOCKET_WITHIN):
            while not _listens(path):  # noqa: ASYNC110 - the outside world
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise Unavailable(f"nobody listens on {path.name}: see the log beside it") from None


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as client:
        return client.connect_ex(str(path)) == 0


async def run_to_its_end(
    world: World, argv: Sequence[str], log: Path, *, environment: Mapping[str, str], within: float = DATABASE_WITHIN
) -> None:
    """Run a tool in the world. Raises Unavailable, with its own last words, when it fails or takes too long."""
    tool, log = argv[0], await asyncio.to_thread(log.absolute)
    await world.start(tool, argv, log=log, environment=environment)
    try:
        async with asyncio.timeout(within):
            code = await world.wait(tool)
    except TimeoutError:
        await world.stop(tool, patience=0.0)
        raise Unavailable(f"{tool} took more than {within:g} s{await _last_words(log)}") from None
    if code != 0:
        raise Unavailable(f"{tool} ended with {code}{await _last_words(log)}")


async def _last_words(log: Path) -> str:
    try:
        words = (await asyncio.to_thread(log.read_text, errors="replace")).split("\n")
    except OSError:
        words = []
    said = " ".join(line.strip() for line in words if line.strip())[-500:]
    return f": {said}" if said else ""
