"""Open vSwitch started in a host's world: its database, the database's server, the switch itself."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from moorage.domain.errors import Unavailable
from moorage.seams.world import World

SOCKET_WITHIN = 5.0  # seconds
DATABASE_WITHIN = 10.0  # seconds


async def start_switch(world: World, rundir: Path) -> None:
    """With an empty database, if it has none yet; what runs already is kept. Raises Unavailable."""
    from moorage.adapters.ovsdb import processes

    environment = processes.environment(rundir, os.environ)
    if not (rundir / processes.DATABASE).exists():
        tool, words = processes.create_database(rundir), rundir / "ovsdb-tool.log"
        await run_to_its_end(world, tool, words, environment=environment)
    await world.start("ovsdb-server", processes.ovsdb_server(rundir), environment=environment)
    await until_exists(rundir / "db.sock")  # ovs-vswitchd tries a missing one again only after a second
    await world.start("ovs-vswitchd", processes.vswitchd(rundir), environment=environment)


async def until_exists(path: Path) -> None:
    """Wait for a file that another process makes. Raises Unavailable after 5 s."""
    try:
        async with asyncio.timeout(SOCKET_WITHIN):
            while not path.exists():  # noqa: ASYNC110, ASYNC240 - the outside world, and a stat of a local path
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise Unavailable(f"{path.name} has not appeared: see the log beside it") from None


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
