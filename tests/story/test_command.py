"""The command on simulated hosts, as people run it: what it shows, what it answers with, and what it leaves."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.shell import MOORAGE, Shell, a_shell, hop_ms, steps

from moorage.app import processes
from moorage.app.client import Client, logged_in
from moorage.app.cloud import Credentials
from moorage.app.clouds_yaml import account_in, rendered
from moorage.app.state import StateDir
from moorage.app.watching import when
from moorage.domain.hops import HOPS

CALLED = f"{sys.executable} -m moorage.cli.entry"
HOP_NAMES = [hop.value for hop in HOPS]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with a_shell(tmp_path) as shell:
        yield shell


@pytest.fixture
def up(shell: Shell) -> Iterator[Shell]:
    """A shell in which a cloud of three simulated hosts runs."""
    started = shell.moorage("up", "--host-kind", "simulated", "--hosts", "3", "--listen", "127.0.0.1:0", "--detach")
    assert started.returncode == 0, started.stderr
    yield shell
    assert shell.moorage("down", "--purge").returncode == 0


def test_the_demo_boots_a_guest_and_leaves_nothing(shell: Shell) -> None:
    result = shell.json("demo", "--host-kind", "simulated")
    assert [hop["hop"] for hop in result["hops"]] == HOP_NAMES
    times = [hop["ms"] for hop in result["hops"]]
    assert times == sorted(times)
    assert (result["server_status"], result["port_status"], result["fault"]) == ("ACTIVE", "ACTIVE", None)
    assert result["address"].startswith("10.0.0.")
    assert result["ping"] is None  # nothing can be pinged: no made-up result
    assert steps(result)["nothing left behind"] is True
    assert shell.left() == []


def test_the_demo_is_readable_without_a_terminal(shell: Shell) -> None:
    shown = shell.moorage("demo", "--host-kind", "simulated")
    assert shown.returncode == 0, shown.stderr
    assert "\x1b" not in shown.stdout
    assert "until its port was proven ready" in shown.stdout
    assert "ping \u2013" in shown.stdout
    assert shown.stdout.endswith(f"  nothing left behind\n  next: {CALLED} up\n")


def test_a_normal_experiment_is_a_boot(shell: Shell) -> None:
    result = shell.json("experiment", "normal", "--host-kind", "simulated")
    assert (result["kind"], result["server_status"], result["port_status"]) == ("normal", "ACTIVE", "ACTIVE")


def test_without_its_agent_a_guest_runs_and_gets_its_network_later(shell: Shell) -> None:
    result = shell.json("experiment", "agent-down", "--host-kind", "simulated", "--timeout", "0.5")
    assert (result["server_status"], result["port_status"]) == ("ACTIVE", "ACTIVE")
    assert result["address"].startswith("10.0.0.")
    ms = hop_ms(result)
    assert ms["running"] is not None
    assert ms["seen"] is not None
    assert ms["running"] < ms["seen"]
    assert ms["woken"] is None  # nobody waited any more
    whats = [step["what"] for step in result["steps"]]
    assert whats[:3] == ["agent stopped", "server ACTIVE", "port DOWN"]
    assert set(steps(result).values()) <= {True, None}
    at = {step["what"]: step["at"] for step in result["steps"]}
    assert at["agent started"] < at["port ACTIVE"]


def test_without_its_agent_a_fatal_boot_ends_in_error_and_leaves_nothing(shell: Shell) -> None:
    result = shell.json("experiment", "agent-down-fatal", "--host-kind", "simulated", "--timeout", "0.5")
    assert result["server_status"] == "ERROR"
    assert result["fault"].startswith("Failed to allocate the network(s)")
    assert result["address"] is None
    assert hop_ms(result)["running"] is None
    taken = steps(result)
    for what in ("server ERROR, with its fault", "guest gone", "OVS port gone", "port unbound or deleted"):
        assert taken[what] is True


@pytest.mark.parametrize("concurrency", [1, 4])
def test_the_bench_measures_each_hop(shell: Shell, concurrency: int) -> None:
    asked = ["--boots", "4", "--concurrency", str(concurrency)]
    result = shell.json("bench", "handshake", "--host-kind", "simulated", *asked)
    assert (result["boots"], result["concurrency"]) == (4, concurrency)
    assert list(result["hops"]) == HOP_NAMES
    assert all(spread["median"] is not None for spread in result["hops"].values())
    assert result["plugged_to_running_ms"]["min"] > 0
    assert result["boots_per_s"] >= result["addresses_per_s"] > 0
    assert shell.left() == []


def test_a_storm_ends_with_every_port_ready(shell: Shell) -> None:
    result = shell.json("bench", "storm", "--ports", "40", "--host-kind", "simulated")
    assert list(result) == ["ports", "seconds", "ports_per_s", "p99_ms", "ovsdb_transactions", "flow_batches"]
    assert result["ports"] == 40
    assert 0 < result["p99_ms"] <= result["seconds"] * 1000
    assert 2 <= result["ovsdb_transactions"] < 40
    assert 1 <= result["flow_batches"] < 20
    assert shell.left() == []


def test_a_new_agent_reports_the_ports_that_were_up(shell: Shell) -> None:
    result = shell.json("bench", "restart", "--ports", "20", "--host-kind", "simulated")
    assert (result["ports"], result["packets_sent"], result["packets_lost"]) == (20, None, None)
    assert 0 < result["seconds"] < 10
    assert shell.left() == []


@pytest.fixture
def endless(shell: Shell) -> Iterator[subprocess.Popen[bytes]]:
    with shell.endless_bench("simulated") as running:
        yield running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_bench_leaves_nothing(
    shell: Shell, endless: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    endless.send_signal(number)
    assert endless.wait(timeout=10) == 130
    assert shell.left() == []


def test_what_a_killed_bench_leaves_is_cleared_by_the_next_command(
    shell: Shell, endless: subprocess.Popen[bytes]
) -> None:
    endless.kill()
    endless.wait(timeout=10)
    assert shell.left() != []
    shell.moorage("status")
    assert shell.left() == []


def test_a_cloud_comes_up_tells_of_itself_and_goes(up: Shell) -> None:
    status = up.json("status")
    assert status["ready"] is True
    assert status["host_kind"] == "simulated"
    assert status["rss_mib"] > 20
    assert [(host["alive"], host["servers"]) for host in status["hosts"]] == [(True, 0)] * 3

    state = up.home / "state" / "moorage"
    assert state.stat().st_mode & 0o777 == 0o700
    assert (state / "clouds.yaml").stat().st_mode & 0o777 == 0o600
    assert up.moorage("env").stdout.splitlines() == [
        f"export OS_CLIENT_CONFIG_FILE='{state}/clouds.yaml'",
        "export OS_CLOUD='moorage'",
    ]
    assert up.moorage("env", "--os-cloud", "moorage-admin").stdout.splitlines()[1] == "export OS_CLOUD='moorage-admin'"
    up.environ["OS_CLOUD"] = "moorage-admin"
    assert up.moorage("env").stdout.splitlines()[1] == "export OS_CLOUD='moorage-admin'"
    del up.environ["OS_CLOUD"]
    assert "OS_AUTH_URL" in up.moorage("env", "--openrc").stdout
    elsewhere = up.moorage("env", "--state-dir", str(state)).stdout.splitlines()[-1]
    assert elsewhere == f"export MOORAGE_STATE_DIR='{state}'"
    up.environ["MOORAGE_STATE_DIR"] = str(up.home / "elsewhere")
    assert up.moorage("status").returncode == 1
    del up.environ["MOORAGE_STATE_DIR"]
    unknown = up.moorage("timeline", "hello")
    assert (unknown.returncode, unknown.stderr) == (1, "moorage: there is no server 'hello' in project demo\n")


def test_a_timeline_shows_the_ten_hops_of_a_server(up: Shell) -> None:
    account = account_in(up.home / "state" / "moorage" / "clouds.yaml", "moorage")

    async def boot() -> str:
        async with logged_in(account) as client:
            server = await client.create_server("hello", image="moorage-guest", flavor="m1.tiny", network="private")
            assert await when(partial(is_active, client, server), limit=10) is not None
            return server

    server = asyncio.run(boot())
    told = up.json("timeline", "hello")
    assert (told["server"], told["status"]) == (server, "ACTIVE")
    assert [hop["hop"] for hop in told["hops"]] == HOP_NAMES
    assert None not in hop_ms(told).values()
    assert up.json("timeline", server, "--os-cloud", "moorage-admin")["name"] == "hello"
    assert sum(host["servers"] for host in up.json("status")["hosts"]) == 1


async def is_active(client: Client, server: str) -> bool:
    body = await client.server(server)
    return body is not None and body["status"] == "ACTIVE"


def test_a_second_cloud_in_one_place_is_refused(up: Shell) -> None:
    second = up.moorage("up", "--host-kind", "simulated", "--listen", "127.0.0.1:0")
    assert second.returncode == 1
    assert "a cloud runs in" in second.stderr


def test_a_demo_does_not_touch_a_running_cloud(up: Shell) -> None:
    before = up.json("status")
    up.json("demo", "--host-kind", "simulated")
    assert up.json("status")["pid"] == before["pid"]


def test_the_lines_to_paste_can_be_pasted(shell: Shell) -> None:
    state = shell.home / "it's here"
    asked = ["--host-kind", "simulated", "--listen", "[::1]:0", "--state-dir", str(state), "--detach"]
    started = shell.moorage("up", *asked)
    try:
        assert started.returncode == 0, started.stderr
        [ready, _, _, env, create, timeline] = started.stdout.splitlines()
        assert re.fullmatch(r"ready: http://\[::1\]:\d+", ready)
        assert create.startswith("  openstack server create ")
        assert timeline == f"  {CALLED} timeline hello"
        pasted = subprocess.run(
            ["sh", "-c", f"{env}\n{timeline}"], env=shell.environ, capture_output=True, text=True, check=False
        )
        assert pasted.stderr == "moorage: there is no server 'hello' in project demo\n"
        told = shell.json("status", "--state-dir", str(state))
        assert f"http://{told['listen']}" == ready.removeprefix("ready: ")
    finally:
        shell.moorage("down", "--purge", "--state-dir", str(state))
    assert not state.exists()


SLOW = """
import pathlib, sys, time
pathlib.Path({mark!r}).touch()
time.sleep(1)
sys.path.remove({here!r})
del sys.modules["falcon"]
import falcon
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_detached_start_that_is_interrupted_leaves_nothing(shell: Shell, number: signal.Signals) -> None:
    """The signal comes while the daemon imports its libraries."""
    mark = shell.home / "mark"
    (shell.home / "falcon.py").write_text(SLOW.format(mark=str(mark), here=str(shell.home)))
    command = [*MOORAGE, "up", "--host-kind", "simulated", "--listen", "127.0.0.1:0", "--detach"]
    environ = {**shell.environ, "PYTHONPATH": str(shell.home)}
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as starting:
        while not mark.exists():
            time.sleep(0.01)
        starting.send_signal(number)
        assert starting.communicate(timeout=10)[1] == "moorage: interrupted; everything is closed\n"
    assert starting.returncode == 130
    assert json.loads(shell.moorage("status", "--json", "-").stdout)["ready"] is False
    assert not StateDir(shell.home / "state" / "moorage").is_held()
    assert processes.mentioning(mark.parent) == []


@pytest.mark.parametrize("detach", [[], ["--detach"]])
def test_a_broken_database_is_named_in_one_line(shell: Shell, detach: list[str]) -> None:
    state = shell.home / "broken"
    (state / "cloud" / "database").mkdir(parents=True)
    file = state / "cloud" / "database" / "network.sqlite"
    file.write_bytes(b"no database" * 1000)
    asked = ["--host-kind", "simulated", "--listen", "127.0.0.1:0", "--state-dir", str(state), *detach]
    ended = shell.moorage("up", *asked)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"moorage: the database {file} is broken: file is not a database")
    assert ended.stderr.count("\n") == 1


def test_a_cloud_that_does_not_answer_is_told_as_such(shell: Shell) -> None:
    state = shell.home / "state" / "moorage"
    state.mkdir()
    (state / "clouds.yaml").write_text(
        rendered("http://127.0.0.1:9", {"moorage": Credentials("demo", "secret", "demo")})
    )
    ended = shell.moorage("timeline", "hello")
    assert ended.stderr == "moorage: nothing answers at http://127.0.0.1:9: is the cloud running? moorage up\n"
