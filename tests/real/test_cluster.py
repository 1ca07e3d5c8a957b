"""A cloud spread over processes by one command: what it shows and what it leaves. tests/chaos kills its parts."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.shell import MOORAGE, Shell, a_shell

from moorage.app import processes
from moorage.app.private import open_area

pytestmark = [pytest.mark.timeout(300)]

HOSTS_QUEUE = {"exchange": "moorage.hosts", "routing_key": "compute.host-1", "queue": "compute.host-1"}
NETWORKS_QUEUE = {"exchange": "moorage.services", "routing_key": "network", "queue": "network"}
CROSSED = {"bound": HOSTS_QUEUE, "seen": NETWORKS_QUEUE, "ready": NETWORKS_QUEUE}
CROSSED |= {"heard": HOSTS_QUEUE, "woken": HOSTS_QUEUE}


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
        serving = [
            pid for pid in processes.mentioning(place) if b"\0serve\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        assert len(serving) == 4 * 2 + 2
        for pid in serving:
            assert "CapEff:\t0000000000000000" in Path(f"/proc/{pid}/status").read_text()
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


@pytest.mark.parametrize("words", [["--bus", "memory"], ["--host-kind", "simulated"]])
def test_what_can_only_be_in_one_process_is_refused(shell: Shell, words: list[str]) -> None:
    refused = shell.moorage("cluster", *words)
    assert refused.returncode == 2
    assert "process" in refused.stderr


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
