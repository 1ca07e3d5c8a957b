"""Commands end in order: on a signal, once, and when their parent dies."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

PROGRAM = """
import asyncio, sys, time
from moorage.app.interrupts import Interrupted, run

async def main():
    try:
        print("running", flush=True)
        await asyncio.get_running_loop().create_future()
    finally:
        await asyncio.sleep(0.1)
        print("closed", flush=True)

try:
    run(main, dies_with_parent=True)
except Interrupted:
    print("ended", flush=True)
    time.sleep(0.3)
    sys.exit(130)
"""
PARENT = f"""
import subprocess, sys
with subprocess.Popen([sys.executable, "-c", {PROGRAM!r}]) as child:
    child.wait()
"""


@pytest.fixture
def running() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_closes_in_order(running: subprocess.Popen[str], number: signal.Signals) -> None:
    running.send_signal(number)
    assert running.communicate(timeout=5)[0] == "closed\nended\n"
    assert running.returncode == 130


def test_a_second_signal_does_not_break_the_closing(running: subprocess.Popen[str]) -> None:
    running.send_signal(signal.SIGINT)
    running.send_signal(signal.SIGTERM)
    running.send_signal(signal.SIGINT)
    assert running.communicate(timeout=5)[0] == "closed\nended\n"
    assert running.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_after_the_closing_changes_nothing(running: subprocess.Popen[str], number: signal.Signals) -> None:
    assert running.stdout is not None
    running.send_signal(signal.SIGTERM)
    while running.stdout.readline() != "ended\n":
        pass
    running.send_signal(number)
    assert running.wait(5) == 130


def test_a_hangup_that_nohup_ignores_is_ignored() -> None:
    with subprocess.Popen(["nohup", sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=5)[0] == "closed\nended\n"
        assert process.returncode == 130


def test_it_closes_in_order_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "running\n"
        parent.kill()
        assert parent.stdout.read() == "closed\nended\n"  # the end of file says that the child is gone too
