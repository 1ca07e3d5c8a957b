"""A shell in which `moorage up` is killed, at a hop of a boot or while guests run, and started again."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.real.deaths import fell_at
from tests.shell import Shell

from moorage.adapters.world.living import LivingHolder, find_living
from moorage.app import processes, runtime
from moorage.app.boots import FLAVOR, IMAGE, NETWORK
from moorage.app.client import Client, logged_in
from moorage.app.clouds_yaml import account_in
from moorage.app.state import StateDir
from moorage.app.worlds import SOCKET
from moorage.domain.hops import Hop
from moorage.domain.ids import NetworkId

REPOSITORY = Path(__file__).parents[2]


class Ups:
    """A shell in which `moorage up` is killed and started again."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.kind = "netns"
        self.state = StateDir(shell.home / "state" / "moorage")
        self.place = runtime.place_of(self.state.cloud)

    def up(self, *more: str) -> Any:
        """Start it; its status."""
        started = self.shell.moorage("up", "--host-kind", self.kind, "--listen", "127.0.0.1:0", "--detach", *more)
        assert started.returncode == 0, started.stderr
        return self.shell.json("status")

    def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        running = self.state.running()
        assert running is not None
        os.kill(running.pid, signal.SIGKILL)
        while processes.is_alive(running.pid, running.started):
            time.sleep(0.001)

    async def holder(self) -> LivingHolder:
        found = await find_living(self.place / SOCKET)
        assert found is not None
        return found

    async def ask(self, name: str) -> str:
        """Ask for a server."""
        async with logged_in(account_in(self.state.clouds_yaml, "moorage")) as member:
            return await member.create_server(name, image=IMAGE, flavor=FLAVOR, network=NETWORK)

    async def until(self, server: str, *status: str) -> None:
        """Returns once the server and its port have this status."""
        async with self._admin() as admin, asyncio.timeout(20):
            while (await _seen(admin, server))[:2] != status:
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[Client]:
        async with logged_in(account_in(self.state.clouds_yaml, "moorage-admin")) as admin:
            yield admin

    async def boot(self, name: str = "web") -> tuple[str, str, NetworkId]:
        """A server with its address and its network."""
        server = await self.ask(name)
        await self.until(server, "ACTIVE", "ACTIVE")
        return server, *await self.place_of(server)

    async def place_of(self, server: str) -> tuple[str, NetworkId]:
        """Its address and its network."""
        async with self._admin() as admin:
            port = await admin.port_of(server)
        assert port is not None
        return port["fixed_ips"][0]["ip_address"], NetworkId(port["network_id"])

    async def seen(self, server: str) -> tuple[str, str, Any]:
        """What counts of a server: its status, its port's, and in which generation that is plugged."""
        async with self._admin() as admin:
            return await _seen(admin, server)

    async def said(self, server: str, words: str, *, times: int = 1) -> str:
        """The guest's console, once `words` stand in it so many times."""
        async with logged_in(account_in(self.state.clouds_yaml, "moorage")) as member, asyncio.timeout(20):
            while True:
                answer = await member.call("POST", "compute", f"/servers/{server}/action", {"os-getConsoleOutput": {}})
                if str(answer["output"]).count(words) >= times:
                    return str(answer["output"])
                await asyncio.sleep(0.02)

    async def inhabitants(self) -> dict[str, int]:
        """The processes of the host's world, by name."""
        holder = await self.holder()
        try:
            return dict(await holder.world("host-1").processes())
        finally:
            holder.let_go()

    def nothing_is_left(self) -> bool:
        left = [*processes.mentioning(self.shell.home), *processes.mentioning(self.place)]
        return self.shell.left() == [] and not self.place.exists() and left == []


async def _seen(admin: Client, server: str) -> tuple[str, str, Any]:
    found, port = await admin.server(server), await admin.port_of(server)
    assert found is not None
    port = port or {"status": "", "binding:profile": None}
    return found["status"], port["status"], port["binding:profile"]


async def dies_at(ups: Ups, hop: Hop) -> str:
    """A server at whose hop its `moorage up` was killed."""
    command = [sys.executable, "-m", "tests.real.dying_up", ups.kind, hop]
    environ = {**ups.shell.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as dying:
        assert dying.stdout is not None
        while not (line := dying.stdout.readline()).startswith("ready"):
            assert line, "it did not start"
        server = await ups.ask(f"web-{hop}")
        died, _, told = dying.stdout.readline().partition(" of ")
        assert died == "died"
        assert fell_at(hop, [Hop(word) for word in told.split()])
    return server
