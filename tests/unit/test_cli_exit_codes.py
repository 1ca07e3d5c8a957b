"""How commands end: 0 fine, 1 failed, 2 wrong use, 130 interrupted, and never a stack trace."""

import json
import os
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from moorage.app.causes import only_cause
from moorage.app.interrupts import Interrupted
from moorage.cli.main import told
from moorage.domain.errors import NotFound, Unavailable

COMMANDS = ["up", "down", "status", "env", "doctor", "demo", "timeline", "experiment", "bench"]
COMMANDS += ["db", "db upgrade", "bench handshake", "bench storm", "bench restart", "bench all"]


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("OS_CLOUD", "MOORAGE_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    return dict(os.environ)


def moorage(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "moorage.cli.entry", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=15, check=False)


@pytest.mark.parametrize(
    "arguments",
    [
        ["up", "--host-kind", "imaginary"],
        ["demo", "--host-kind", "imaginary"],
        ["up", "--listen", "nowhere"],
        ["up", "--hosts", "0"],
        ["status", "--json", "/no/such/folder/status.json"],
        ["status", "--json", "/tmp"],
        ["demo", "--json", ""],
        ["demo", "--json", "/proc/result.json"],
        ["up", "--vif-plugging-timeout", "inf"],
        ["up", "--vif-plugging-timeout", "1e300"],
        ["up", "--vif-plugging-timeout", "nan"],
        ["experiment", "normal", "--timeout", "inf"],
        ["timeline", ""],
        ["experiment", "unheard-of"],
        ["bench", "handshake", "--boots", "0"],
        ["up", "--database", "mysql://u:secret@h/n"],
        ["db", "upgrade"],
        ["sail"],
        ["timeline"],
    ],
)
def test_wrong_use_is_2_and_says_why(environ: dict[str, str], arguments: list[str]) -> None:
    ended = moorage(environ, *arguments)
    assert ended.returncode == 2
    assert "Error: " in ended.stderr
    assert "secret" not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_has_an_example(environ: dict[str, str], command: str) -> None:
    ended = moorage(environ, *command.split(), "--help")
    assert ended.returncode == 0
    assert "Example: " in ended.stdout


def test_a_kind_that_is_none_is_told_with_those_that_are(environ: dict[str, str]) -> None:
    told = moorage(environ, "up", "--host-kind", "imaginary").stderr
    assert "'imaginary' is none of simulated, netns, qemu" in told
    assert "Value error" not in told


def test_the_version_is_told(environ: dict[str, str]) -> None:
    assert moorage(environ, "--version").stdout == f"moorage {version('moorage')}\n"


@pytest.mark.parametrize("where", ["/dev/full", "-"])
def test_a_result_that_cannot_be_written_is_one_line_and_1(environ: dict[str, str], where: str) -> None:
    command = [sys.executable, "-m", "moorage.cli.entry", "doctor", "--host-kind", "simulated", "--json", where]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(command, env=environ, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    name = "stdout" if where == "-" else where
    assert ended.stderr.splitlines()[-1] == f"moorage: the result cannot be written to {name}: No space left on device"
    assert "Traceback" not in ended.stderr


def test_status_of_nothing_is_not_ready_and_1(environ: dict[str, str]) -> None:
    ended = moorage(environ, "status", "--json", "-")
    assert ended.returncode == 1
    assert json.loads(ended.stdout) == {
        "ready": False,
        "pid": None,
        "listen": None,
        "rss_mib": 0.0,
        "host_kind": None,
        "lives_on": None,
        "hosts": [],
    }


def test_down_with_nothing_running_is_fine(environ: dict[str, str]) -> None:
    assert moorage(environ, "down").returncode == 0


def test_a_timeline_without_a_cloud_says_how_to_start_one(environ: dict[str, str]) -> None:
    ended = moorage(environ, "timeline", "hello")
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "moorage up" in ended.stderr


@pytest.mark.parametrize("detach", [[], ["--detach"]])
def test_a_port_in_use_is_said_before_anything_is_made(environ: dict[str, str], detach: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = moorage(environ, "up", "--host-kind", "simulated", "--listen", listen, *detach)
    assert ended.returncode == 1
    assert "is in use" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "the log is" not in ended.stderr  # it would be empty
    assert not Path(environ["XDG_STATE_HOME"], "moorage").exists()


def test_an_unforeseen_failure_is_one_line_and_its_trace_is_kept(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    error = ZeroDivisionError("by\nzero")
    assert told(error) == 1
    line = capsys.readouterr().err
    assert line.startswith("moorage: an unforeseen failure: ZeroDivisionError: by zero (the log is ")
    assert line.count("\n") == 1
    assert "ZeroDivisionError" in Path(environ["XDG_STATE_HOME"], "moorage", "last-failure.log").read_text()


def test_our_own_errors_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(NotFound("there is no server 'hello'")) == 1
    assert capsys.readouterr().err == "moorage: there is no server 'hello'\n"


def test_an_interrupt_is_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(Interrupted()) == 130
    assert capsys.readouterr().err.startswith("moorage: interrupted")


def test_the_cause_in_a_group_is_what_counts() -> None:
    ours = Unavailable("asking the cloud")
    assert only_cause(ExceptionGroup("tasks", [ExceptionGroup("inner", [ours])])) is ours
    assert only_cause(ExceptionGroup("tasks", [ValueError(), ours])) is ours
    several = ExceptionGroup("tasks", [ValueError(), TypeError()])
    assert only_cause(several) is several
