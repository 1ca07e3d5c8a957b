"""A killed `moorage up` leaves its world alive: the next one takes it over, `status` and `down` know of it."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.real.pinging import pinging
from tests.real.ups import Ups, dies_at
from tests.shell import a_shell

from moorage.adapters.dnsmasq.dhcp import server_name
from moorage.app import processes
from moorage.app.worlds import SOCKET
from moorage.domain.hops import Hop

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def ups(tmp_path: Path) -> Iterator[Ups]:
    with a_shell(tmp_path, patience=50) as shell:
        ups = Ups(shell)
        try:
            yield ups
        finally:
            assert shell.moorage("down", "--purge").returncode == 0
        assert ups.nothing_is_left()


@pytest.mark.parametrize("kind", ["netns", "qemu"])
async def test_the_next_up_takes_over_what_a_killed_one_has_left(ups: Ups, kind: str) -> None:
    """In the midst of a boot, and while guests talk: nobody in the world notices."""
    ups.kind = kind
    server = await dies_at(ups, Hop.READY)
    held = {name: pid for name, pid in (await ups.inhabitants()).items() if not name.startswith("dhcp-")}
    await asyncio.to_thread(ups.up)
    await ups.until(server, "ACTIVE", "ACTIVE")
    address, network = await ups.place_of(server)
    await ups.said(server, f"moorage-guest: address {address}")
    before, inhabitants = await ups.seen(server), await ups.inhabitants()
    assert held
    assert held.items() <= inhabitants.items()  # the switch's, and the QEMU that was held runs; a DHCP server that was
    # just being started when its agent died may have been started again
    holder = await ups.holder()
    async with pinging(holder.world("host-1"), server_name(network), address) as pings:
        await asyncio.to_thread(ups.kill)
        await asyncio.to_thread(ups.up)
        assert await ups.seen(server) == before
    assert pings.lost() == []
    assert len(pings.sent) > 50
    holder.let_go()
    assert await ups.inhabitants() == inhabitants


async def test_what_lives_on_is_known_and_goes_on_only_as_it_was_made(ups: Ups) -> None:
    ups.up()
    await ups.boot()
    ups.kill()
    said = ups.shell.moorage("status", "--json", "-")
    assert said.returncode == 1
    assert json.loads(said.stdout)["lives_on"]["guests"] == 1
    assert "1 guest (netns) run on" in said.stderr
    for other in (["--host-kind", "simulated"], ["--host-kind", "netns", "--hosts", "2"]):
        refused = ups.shell.moorage("up", *other, "--listen", "127.0.0.1:0", "--detach")
        assert refused.returncode == 1
        assert refused.stderr.count("\n") == 1
        assert "still run on 1 netns host, not on " in refused.stderr
    assert ups.shell.moorage("down").returncode == 0
    assert not ups.place.exists()
    assert processes.mentioning(ups.shell.home) == []
    assert "nothing runs" in ups.shell.moorage("status").stdout


def test_a_cloud_without_its_world_ends_and_says_so(ups: Ups) -> None:
    ups.up()
    processes.kill(processes.mentioning(ups.place / SOCKET))
    until = time.monotonic() + 10
    while "the holder was killed" not in (said := ups.state.log.read_text()) and time.monotonic() < until:
        time.sleep(0.01)
    assert "the holder was killed" in said
    assert not ups.state.is_held()
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
