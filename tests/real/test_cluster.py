"""A cloud spread over processes by one command: what it shows, what can be done to its parts, and what it leaves."""

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from tests.shell import MOORAGE, Shell, a_shell

from moorage.app import boots, processes
from moorage.app.cluster.building import Cluster, built
from moorage.app.cluster.cloud import attached, ready_to_boot
from moorage.app.cluster.layout import Layout, laid_out
from moorage.app.config import CloudSettings, HostKind
from moorage.app.private import open_area, private_place
from moorage.app.private_cloud import Access, at_hand

pytestmark = [pytest.mark.timeout(300)]

HOSTS_QUEUE = {"exchange": "moorage.hosts", "routing_key": "compute.host-1", "queue": "compute.host-1"}
NETWORKS_QUEUE = {"exchange": "moorage.services", "routing_key": "network", "queue": "network"}
CROSSED = {"bound": HOSTS_QUEUE, "seen": NETWORKS_QUEUE, "ready": NETWORKS_QUEUE}
CROSSED |= {"heard": HOSTS_QUEUE, "woken": HOSTS_QUEUE}
APIS = [f"{api}-{number}" for api in ("identity", "image", "compute-api", "network") for number in (1, 2)]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with a_shell(tmp_path, patience=150) as shell:
        yield shell


def test_one_command_starts_a_cluster_that_can_be_kept_used_and_ended(shell: Shell) -> None:
    said = shell.json("cluster", "--host-kind", "netns", "--boots", "1", "--keep")
    place = Path((shell.home / "state" / "moorage" / "cluster" / "place").read_text())
    try:
        assert said["server_status"] == "ACTIVE"
        assert {hop["hop"]: hop["bus"] for hop in said["hops"] if "bus" in hop} == CROSSED
        assert [step["ok"] for step in said["steps"]] == [True] * 4  # ACTIVE, its address, a ping, its page
        [boot] = said["boots"]
        assert boot["hops"] == said["hops"]
        shell.environ["OS_CLIENT_CONFIG_FILE"] = str(shell.home / "state" / "moorage" / "cluster" / "clouds.yaml")
        shown = shell.json("timeline", said["server"], "--os-cloud", "moorage-admin")
        assert shown["hops"] == said["hops"]
        again = shell.moorage("cluster", "--host-kind", "netns", "--keep")
        assert again.returncode == 1
        assert "--down ends it" in again.stderr
    finally:
        ended = shell.moorage("cluster", "--down")
    assert ended.returncode == 0, ended.stderr
    assert not processes.mentioning(place)
    assert not place.exists()
    assert not shell.left()


def test_an_interrupted_cluster_leaves_nothing(shell: Shell) -> None:
    command = [*MOORAGE, "cluster", "--host-kind", "netns"]
    with subprocess.Popen(command, env=shell.environ, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        said = b""
        while b"starting 4 APIs" not in said:
            more = os.read(running.stdout.fileno(), 4096)
            assert more, said
            said += more
        [place] = open_area().glob(f"{running.pid}-*")
        running.send_signal(signal.SIGINT)
        assert running.wait(120) == 130
    assert not processes.mentioning(place)
    assert not place.exists()
    assert not shell.left()


@dataclass
class Running:
    layout: Layout
    cluster: Cluster
    access: Access


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        place = stack.enter_context(private_place(open_area()))
        settings = CloudSettings(state_dir=place / "c", host_kind=HostKind.NETNS)
        layout = laid_out(settings)
        cluster = await stack.enter_async_context(built(layout, lambda _: None))
        cloud = await stack.enter_async_context(attached(settings, layout, cluster))
        await ready_to_boot(layout)
        yield Running(layout, cluster, await stack.enter_async_context(at_hand(cloud)))


@pytest.mark.asyncio(loop_scope="module")
async def test_nobody_in_a_cluster_has_a_capability_but_the_holder(running: Running) -> None:
    assert set(APIS) < set(running.cluster.parts)
    for name in (*APIS, "compute", "agent"):
        for pid in running.cluster.parts[name].pids():
            assert "CapEff:\t0000000000000000" in Path(f"/proc/{pid}/status").read_text(), name


@pytest.mark.asyncio(loop_scope="module")
async def test_a_part_can_be_killed_under_a_boot_and_started_again(running: Running) -> None:
    servers = {}
    for name in ("rabbitmq", "postgresql", "ovs-vswitchd", "holder", "network-1"):  # of each kind
        part = running.cluster.parts[name]
        before = part.pids()
        assert before, name
        servers[name] = await boots.ask(running.access, f"under-{name}")
        await running.cluster.kill(name)
        assert not part.pids(), name
        await running.cluster.start(name)
        assert part.pids(), name
        assert not {*before} & {*part.pids()}, name
    for name, server in servers.items():
        assert (await boots.ended(running.access, server))["status"] == "ACTIVE", name
        assert await boots.addressed(running.access, server) is not None, name
