"""A killed `moorage up` leaves its world alive: the next one takes it over, `status` and `down` know of it."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.real.pinging import pinging
from tests.shell import Shell, a_shell

from moorage.adapters.dnsmasq.dhcp import server_name
from moorage.adapters.world.living import LivingHolder, find_living
from moorage.app import processes, runtime
from moorage.app.boots import FLAVOR, IMAGE
from moorage.app.client import Json, logged_in
from moorage.app.clouds_yaml import account_in
from moorage.app.state import StateDir
from moorage.app.worlds import SOCKET
from moorage.domain.ids import NetworkId

pytestmark = pytest.mark.timeout(60)


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

    async def ask(self, name: str, network: str = "private") -> str:
        """Ask for a server."""
        async with logged_in(account_in(self.state.clouds_yaml, "moorage")) as member:
            return await member.create_server(name, image=IMAGE, flavor=FLAVOR, network=network)

    async def until(self, server: str, *status: str) -> None:
        """Returns once the server and its port have this status."""
        async with asyncio.timeout(20):
            while (await self.seen(server))[:2] != status:
                await asyncio.sleep(0.02)

    async def boot(self, name: str = "web", network: str = "private") -> tuple[str, str, NetworkId]:
        """A server with its address and its network."""
        server = await self.ask(name, network)
        await self.until(server, "ACTIVE", "ACTIVE")
        port = await self._port(server)
        return server, port["fixed_ips"][0]["ip_address"], NetworkId(port["network_id"])

    async def seen(self, server: str) -> tuple[str, str, Any]:
        """What counts of a server: its status, its port's, and in which generation that is plugged."""
        async with logged_in(account_in(self.state.clouds_yaml, "moorage-admin")) as admin:
            found = await admin.server(server)
            port = await admin.port_of(server)
        assert found is not None
        return (
            (found["status"], "", None) if port is None else (found["status"], port["status"], port["binding:profile"])
        )

    async def said(self, server: str, words: str, *, times: int = 1) -> str:
        """The guest's console, once `words` stand in it so many times."""
        async with logged_in(account_in(self.state.clouds_yaml, "moorage")) as member, asyncio.timeout(20):
            while True:
                answer = await member.call("POST", "compute", f"/servers/{server}/action", {"os-getConsoleOutput": {}})
                if str(answer["output"]).count(words) >= times:
                    return str(answer["output"])
                await asyncio.sleep(0.02)

    async def _port(self, server: str) -> Json:
        async with logged_in(account_in(self.state.clouds_yaml, "moorage-admin")) as admin:
            port = await admin.port_of(server)
        assert port is not None
        return port

    async def inhabitants(self) -> dict[str, int]:
        """The processes of the host's world, by name."""
        holder = await self.holder()
        try:
            return dict(await holder.world("host-1").processes())
        finally:
            holder.let_go()

    def nothing_is_left(self) -> bool:
        return self.shell.left() == [] and not self.place.exists() and processes.mentioning(self.shell.home) == []


@pytest.fixture
def ups(tmp_path: Path) -> Iterator[Ups]:
    with a_shell(tmp_path, patience=50) as shell:
        ups = Ups(shell)
        try:
            yield ups
        finally:
            assert shell.moorage("down", "--purge").returncode == 0
        assert ups.nothing_is_left()


async def test_the_next_up_takes_over_what_a_killed_one_has_left(ups: Ups) -> None:
    ups.up()
    server, address, network = await ups.boot()
    before, inhabitants = await ups.seen(server), await ups.inhabitants()
    assert before[:2] == ("ACTIVE", "ACTIVE")
    holder = await ups.holder()
    async with pinging(holder.world("host-1"), server_name(network), address) as pings:
        for _ in range(2):
            await asyncio.to_thread(ups.kill)
            await asyncio.to_thread(ups.up)
            assert await ups.seen(server) == before
    assert pings.lost() == []
    assert len(pings.sent) > 100
    holder.let_go()
    assert await ups.inhabitants() == inhabitants
    again, _, _ = await ups.boot("another")
    assert (await ups.seen(again))[:2] == ("ACTIVE", "ACTIVE")


async def test_status_and_down_know_what_lives_on(ups: Ups) -> None:
    ups.up()
    await ups.boot()
    ups.kill()
    said = ups.shell.moorage("status", "--json", "-")
    assert said.returncode == 1
    assert json.loads(said.stdout)["lives_on"]["guests"] == 1
    assert "1 guest (netns) run on" in said.stderr
    assert ups.shell.moorage("down").returncode == 0
    assert not ups.place.exists()
    assert processes.mentioning(ups.shell.home) == []
    assert "nothing runs" in ups.shell.moorage("status").stdout


def test_a_cloud_of_another_kind_is_told_with_what_to_do(ups: Ups) -> None:
    ups.up()
    ups.kill()
    for other in (["--host-kind", "simulated"], ["--host-kind", "netns", "--hosts", "2"]):
        refused = ups.shell.moorage("up", *other, "--listen", "127.0.0.1:0", "--detach")
        assert refused.returncode == 1
        assert refused.stderr.count("\n") == 1
        assert "still run on 1 netns host, not on " in refused.stderr


def test_a_cloud_without_its_world_ends_and_says_so(ups: Ups) -> None:
    ups.up()
    processes.kill(processes.mentioning(ups.place / SOCKET))
    until = time.monotonic() + 10
    while ups.state.is_held() and time.monotonic() < until:
        time.sleep(0.01)
    assert not ups.state.is_held()
    assert "the holder was killed" in ups.state.log.read_text()
    assert ups.up()["ready"] is True


@pytest.mark.parametrize("kind", ["netns", "qemu"])
async def test_down_switches_guests_off_and_up_starts_those_that_ran(ups: Ups, kind: str) -> None:
    ups.kind = kind
    await asyncio.to_thread(ups.up)
    server, address, _ = await ups.boot()
    before = await ups.seen(server)
    await ups.said(server, f"moorage-guest: address {address}")
    assert ups.shell.moorage("down").returncode == 0
    assert processes.mentioning(ups.shell.home) == []
    await asyncio.to_thread(ups.up)
    async with asyncio.timeout(20):
        while (after := await ups.seen(server))[:2] != ("ACTIVE", "ACTIVE") or after == before:
            await asyncio.sleep(0.02)
    said = await ups.said(server, f"moorage-guest: address {address}", times=2)
    if kind == "qemu":
        assert "moorage-guest: powering off" in said
