"""The command's first moments, and how it is called."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.cli.called import called

ENTRY = [sys.executable, "-m", "moorage.cli.entry"]
SLOW = "import time; print('importing', flush=True); time.sleep(10)\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_while_it_imports_is_130_without_a_trace(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "typer.py").write_text(SLOW)
    with subprocess.Popen(
        [*ENTRY, "status"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "importing\n"
        running.send_signal(number)
        assert running.communicate(timeout=5) == ("", "")
    assert running.returncode == 130


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_are_no_failure(tmp_path: Path, closed: str) -> None:
    result = tmp_path / "result.json"
    command = f"{shlex.join([*ENTRY, 'demo', '--host-kind', 'simulated', '--json', str(result)])} {closed}"
    environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    ended = subprocess.run(["sh", "-c", command], env=environ, capture_output=True, text=True, timeout=15, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert result.stat().st_size > 0


@pytest.fixture
def program(tmp_path: Path) -> Path:
    program = tmp_path / "a b" / "bin" / "moorage"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return program


def test_the_command_is_named_as_it_was_called(program: Path) -> None:
    assert called([str(program)], {"PATH": "/usr/bin"}) == f"'{program}'"
    assert called([f"{program}"], {"PATH": f"/usr/bin:{program.parent}"}) == "moorage"


def test_below_the_folder_where_it_was_called_its_path_is_short(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (str(program), "a b/bin/moorage", "./a b/bin/../bin/moorage"):
        assert called([path], {"PATH": "/usr/bin"}) == "'a b/bin/moorage'"


def test_another_moorage_on_the_path_is_not_meant(program: Path, tmp_path: Path) -> None:
    other = tmp_path / "moorage"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    assert called([str(program)], {"PATH": str(tmp_path)}) == f"'{program}'"


def test_a_module_is_called_by_its_python() -> None:
    assert called(["/somewhere/entry.py"], {}) == f"{shlex.quote(sys.executable)} -m moorage.cli.entry"
