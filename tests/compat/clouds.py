"""A cloud for clients to talk to: a real `moorage up`, with a state directory of its own, on a free port."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.compat.clients import Place


@contextmanager
def running_cloud(home: Path, *, host_kind: str = "simulated", wrongs: list[str] | None = None) -> Iterator[Place]:
    """The cloud while it runs. Raises AssertionError when it does not start.

    What went wrong in it on its way is put into `wrongs`; without them an AssertionError tells it.
    """
    state = home / "state"
    command = [sys.executable, "-m", "moorage.cli.entry", "up", "--host-kind", host_kind, "--state-dir", str(state)]
    with subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        try:
            yield Place(ready(running), state / "clouds.yaml", home)
        finally:
            running.terminate()
            running.communicate()
    found = errors_in(state)
    if running.returncode != 130:  # interrupted, by us
        found.append(f"moorage up ended with {running.returncode}")
    if wrongs is not None:
        wrongs += found
    else:
        assert found == []


def ready(running: "subprocess.Popen[str]") -> str:
    """The URL of a cloud that has just been started, when it says that it is ready."""
    assert running.stdout is not None
    told = []
    for line in running.stdout:
        told.append(line)
        if line.startswith("ready: "):
            return line.removeprefix("ready: ").strip()
    raise AssertionError("".join(told))


def errors_in(state: Path) -> list[str]:
    """What the services logged as their own failures: no request of any client may cause one."""
    [log] = state.glob("*.log")
    return [line for line in log.read_text().splitlines() if '"level": "error"' in line]
