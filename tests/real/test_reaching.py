"""`moorage forward` and `moorage console` into real guests of a cloud that runs detached."""

import asyncio
import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.shell import MOORAGE, Shell, a_shell

from moorage.app.client import logged_in
from moorage.app.clouds_yaml import MEMBER, account_in

pytestmark = pytest.mark.timeout(300)  # the first QEMU guest of a machine waits for its image to be built


@contextmanager
def cloud_with_a_guest(tmp_path: Path, kind: str) -> Iterator[Shell]:
    with a_shell(tmp_path, patience=280) as shell:
        started = shell.moorage("up", "--host-kind", kind, "--detach", "--listen", "127.0.0.1:0")
        assert started.returncode == 0, started.stderr
        try:
            asyncio.run(boot(shell.home / "state" / "moorage" / "clouds.yaml"))
            yield shell
        finally:
            shell.moorage("down", "--purge")


async def boot(clouds_yaml: Path) -> None:
    async with logged_in(account_in(clouds_yaml, MEMBER)) as client:
        server = await client.create_server("hello", image="moorage-guest", flavor="m1.tiny", network="private")
        async with asyncio.timeout(20):
            while (body := await client.server(server)) is not None and body["status"] != "ACTIVE":
                await asyncio.sleep(0.02)


@contextmanager
def forwarded(shell: Shell, port: int) -> Iterator[str]:
    """The address at which `port` of the guest is here."""
    command = [*MOORAGE, "forward", "hello", str(port)]
    with subprocess.Popen(command, env=shell.environ, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            line = next(line for line in running.stdout if "Ctrl-C" in line)
            yield line.split()[0]
            running.send_signal(signal.SIGINT)
            assert running.wait(timeout=10) == 130
        finally:
            running.kill()


def fetched(address: str, within: float = 10.0) -> str:
    until = time.monotonic() + within
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}/", timeout=5) as page:
                return str(page.read().decode())
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < until
            time.sleep(0.05)


def test_a_guests_page_is_read_from_loopback(tmp_path: Path) -> None:
    with cloud_with_a_guest(tmp_path, "netns") as shell:
        with forwarded(shell, 80) as address:
            assert "hello" in fetched(address)
            assert "hello" in fetched(address)
        refused = shell.moorage("console", "hello")
        assert refused.returncode == 1
        assert "no serial console" in refused.stderr
        assert "no server" in shell.moorage("forward", "nobody", "80").stderr
        ten_hops_are_logged_and_measured(shell)


def ten_hops_are_logged_and_measured(shell: Shell) -> None:
    state = shell.home / "state" / "moorage"
    lines = [json.loads(line) for line in (state / "moorage.log").read_text().splitlines()]
    told = [line for line in lines if "hop_number" in line]
    assert {line["hop_number"] for line in told} == set(range(1, 11))
    [request_id] = {line.get("request_id") for line in told}
    assert request_id.startswith("req-")
    url = json.loads((state / "pid").read_text())["url"]
    numbers = opened(f"{url}/metrics")
    assert "moorage_handshake_seconds_count 1.0" in numbers
    assert 'moorage_hop_seconds_count{hop="wired"} 1.0' in numbers
    assert 'moorage_look_seconds_count{who="agent"}' in numbers
    assert json.loads(opened(f"{url}/readyz")) == {"ready": True, "reasons": []}


def opened(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def test_a_script_talks_to_a_guest_at_its_console(tmp_path: Path) -> None:
    with cloud_with_a_guest(tmp_path, "qemu") as shell:
        with forwarded(shell, 80) as address:
            assert "hello" in fetched(address)
        talk = subprocess.run(
            [*MOORAGE, "console", "hello"],
            input="\necho answer=$((40+2))\n",
            env=shell.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert talk.returncode == 0, talk.stderr
        assert "answer=42" in talk.stdout


def test_a_simulated_guest_is_not_reached_and_says_so(tmp_path: Path) -> None:
    with cloud_with_a_guest(tmp_path, "simulated") as shell:
        for command in (("forward", "hello", "80"), ("console", "hello")):
            refused = shell.moorage(*command)
            assert refused.returncode == 1
            assert "simulated" in refused.stderr
