"""The command on real Open vSwitch, with network namespaces and with QEMU guests."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.shell import Shell, a_shell, hop_ms, steps

from moorage.app import processes
from moorage.app.runtime import place_of
from moorage.app.state import StateDir
from moorage.domain.hops import HOPS

pytestmark = pytest.mark.timeout(300)  # the first QEMU guest of a machine waits for its image to be built

KINDS = ["netns", "qemu"]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with a_shell(tmp_path, patience=280) as shell:
        yield shell


CHECKOUT = Path(__file__).parents[2]


def test_the_readme_shows_what_the_demo_prints(shell: Shell) -> None:
    """Word for word; times, bars and addresses differ."""
    shown = (CHECKOUT / "README.md").read_text().partition("$ script/demo\n")[2].partition("```")[0]
    printed = subprocess.run(
        ["script/demo"], cwd=CHECKOUT, env=shell.environ, capture_output=True, text=True, timeout=280, check=True
    )
    always = words(shown)
    # A preparation that is made once on a machine, such as building the guest image, is not shown.
    assert [line for line in words(printed.stdout) if "…" not in line or line in always] == always


def words(demo: str) -> list[str]:
    return [" ".join(re.sub(r"[0-9.]*[0-9]|[▏▎▍▌▋▊▉█]", " ", line).split()) for line in demo.splitlines()]


def running_in(shell: Shell) -> list[int]:
    """Processes that a private cloud of this shell has left."""
    return processes.mentioning(shell.temporary)


@pytest.mark.parametrize("kind", KINDS)
def test_the_demo_boots_a_guest_that_answers_and_leaves_nothing(shell: Shell, kind: str) -> None:
    result = shell.json("demo", "--host-kind", kind)
    assert [hop["hop"] for hop in result["hops"]] == [hop.value for hop in HOPS]
    times = [hop["ms"] for hop in result["hops"]]
    assert times == sorted(times)
    assert (result["server_status"], result["port_status"]) == ("ACTIVE", "ACTIVE")
    assert result["address"].startswith("10.0.0.")
    assert result["ping"] is True
    assert set(steps(result).values()) == {True}
    assert shell.left() == []
    assert running_in(shell) == []


@pytest.mark.parametrize("kind", KINDS)
def test_without_its_agent_a_guest_runs_and_gets_its_network_later(shell: Shell, kind: str) -> None:
    result = shell.json("experiment", "agent-down", "--host-kind", kind, "--timeout", "3")
    assert (result["server_status"], result["port_status"], result["ping"]) == ("ACTIVE", "ACTIVE", True)
    assert set(steps(result).values()) == {True}
    ms = hop_ms(result)
    assert ms["running"] is not None
    assert ms["seen"] is not None
    assert ms["running"] < ms["seen"]
    assert ms["woken"] is None


@pytest.mark.parametrize("kind", KINDS)
def test_without_its_agent_a_fatal_boot_ends_in_error_and_leaves_nothing(shell: Shell, kind: str) -> None:
    result = shell.json("experiment", "agent-down-fatal", "--host-kind", kind, "--timeout", "3")
    assert result["server_status"] == "ERROR"
    assert result["fault"].startswith("Failed to allocate the network(s)")
    assert set(steps(result).values()) == {True}
    assert hop_ms(result)["running"] is None
    assert shell.left() == []


def test_a_storm_of_real_ports_is_wired_in_few_transactions(shell: Shell) -> None:
    result = shell.json("bench", "storm", "--ports", "20", "--host-kind", "netns")
    assert list(result) == ["ports", "seconds", "ports_per_s", "p99_ms", "ovsdb_transactions", "flow_batches"]
    assert result["ports"] == 20
    assert 0 < result["p99_ms"] <= result["seconds"] * 1000
    assert 2 <= result["ovsdb_transactions"] < 20
    assert 1 <= result["flow_batches"] < 10
    assert shell.left() == []


def test_packets_between_guests_are_counted_while_the_agent_begins_anew(shell: Shell) -> None:
    result = shell.json("bench", "restart", "--ports", "6")
    assert list(result) == ["ports", "seconds", "packets_sent", "packets_lost"]
    assert result["ports"] == 6
    assert result["packets_sent"] > 200
    assert 0 <= result["packets_lost"] < result["packets_sent"] / 2
    assert shell.left() == []


def test_an_interrupted_bench_leaves_nothing(shell: Shell) -> None:
    with shell.endless_bench("netns") as running:
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=30) == 130
    assert shell.left() == []
    assert running_in(shell) == []


def test_what_a_killed_bench_leaves_is_cleared_by_the_next_command(shell: Shell) -> None:
    with shell.endless_bench("netns") as running:
        running.send_signal(signal.SIGKILL)
        running.wait(timeout=30)
    shell.moorage("status")
    assert shell.left() == []
    until = time.monotonic() + 10
    while running_in(shell) and time.monotonic() < until:
        time.sleep(0.02)
    assert running_in(shell) == []


def test_the_sockets_of_a_killed_cloud_with_a_long_path_are_cleared(shell: Shell) -> None:
    state = shell.home / "a state directory whose path is too long for sockets below it"
    asked = ["--host-kind", "netns", "--listen", "127.0.0.1:0", "--state-dir", str(state), "--detach"]
    started = shell.moorage("up", *asked)
    assert started.returncode == 0, started.stderr
    sockets = place_of(StateDir(state).cloud)
    assert sockets.is_dir()
    os.kill(shell.json("status", "--state-dir", str(state))["pid"], signal.SIGKILL)
    assert shell.moorage("down", "--purge", "--state-dir", str(state)).returncode == 0
    assert processes.mentioning(sockets) == []
    assert not sockets.exists()
    assert not state.exists()


def test_the_machines_own_network_is_not_touched(shell: Shell) -> None:
    before = machine()
    shell.json("demo", "--host-kind", "netns")
    assert machine() == before


def machine() -> set[str]:
    """The network devices of the machine, and the namespaces that have names."""
    named = Path("/run/netns")
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    devices = {line.split(":")[1].strip() for line in links.splitlines()}
    return devices | ({path.name for path in named.iterdir()} if named.is_dir() else set())
