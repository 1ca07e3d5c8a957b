"""One cloud for all compatibility tests: a real `moorage up` on simulated hosts, and the clients that talk to it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.compat.clients import COMPAT, Http, Place, Session, session


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A running cloud, with a state directory and a home of its own, on a free port."""
    assert (COMPAT / "openstack").exists(), "the openstack client is missing: script/setup --compat"
    home = tmp_path_factory.mktemp("compat")
    state = home / "state"
    command = [sys.executable, "-m", "moorage.cli.entry", "up", "--host-kind", "simulated", "--state-dir", str(state)]
    with subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        try:
            yield Place(ready(running), state / "clouds.yaml", home)
        finally:
            running.terminate()
            running.communicate()
    assert running.returncode == 130  # interrupted, and nothing went wrong on the way
    assert errors_in(state) == []


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


@pytest.fixture(scope="session")
def client(place: Place) -> Iterator[Session]:
    with session(place) as commands:
        yield commands


@pytest.fixture(scope="session")
def http(place: Place, client: Session) -> Http:
    """As the user demo."""
    return Http(place.url, client.json("token", "issue")["id"])


@pytest.fixture(scope="session")
def admin_http(place: Place, client: Session) -> Http:
    return Http(place.url, client.admin("token", "issue")["id"])
