"""Private places: gone with their owner, and swept when the owner was killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.app import processes
from moorage.app.private import leftovers, private_place, sweep

SLEEPS = "import sys, time; print(flush=True); time.sleep(60)"


@pytest.fixture
def area(tmp_path: Path) -> Path:
    return tmp_path / "area"


@pytest.fixture
def dead_place(area: Path) -> Path:
    """The place of an owner that is no more (no process has started in tick 0)."""
    place = area / f"{os.getpid()}-0"
    (place / "cloud").mkdir(parents=True)
    return place


@pytest.fixture
def straggler(dead_place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that the dead owner has left, known by the place on its command line."""
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPS, f"--socket={dead_place}/cloud/socket"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_a_place_is_private_and_gone_afterwards(area: Path) -> None:
    with private_place(area) as place:
        assert place.stat().st_mode & 0o777 == 0o700
        (place / "file").write_text("")
    assert not area.exists()


def test_a_place_is_gone_after_a_failure_too(area: Path) -> None:
    with pytest.raises(RuntimeError, match="boom"), private_place(area):
        raise RuntimeError("boom")
    assert not area.exists()


def test_a_sweep_spares_the_living(area: Path) -> None:
    with private_place(area) as place:
        assert sweep(area) == 0
        assert place.is_dir()


def test_a_sweep_clears_what_a_killed_owner_has_left(area: Path, dead_place: Path) -> None:
    assert dead_place.is_dir()
    assert sweep(area) == 1
    assert not area.exists()


def test_a_sweep_ends_what_a_killed_owner_has_left_running(area: Path, straggler: subprocess.Popen[bytes]) -> None:
    assert sweep(area) == 1
    assert straggler.wait(5) == -9


def test_a_sweep_passes_over_what_is_not_named_like_a_place(area: Path) -> None:
    (area / "notes").mkdir(parents=True)
    assert sweep(area) == 0
    assert (area / "notes").is_dir()


def test_a_sweep_of_nothing_is_fine(area: Path) -> None:
    assert sweep(area) == 0


def test_an_area_of_somebody_else_is_left_alone(area: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    area.symlink_to(tmp_path / "elsewhere")
    assert sweep(area) == 0


def test_leftovers_are_named(dead_place: Path, straggler: subprocess.Popen[bytes]) -> None:
    assert leftovers(dead_place, ["lo", "tap-not-there"]) == [
        f"the folder {dead_place}",
        f"process {straggler.pid}",
        "network device lo",
    ]


def test_a_place_that_is_gone_has_no_leftovers(area: Path) -> None:
    assert leftovers(area / "1-1", ["tap-not-there"]) == []


def test_a_process_is_known_by_its_start_too() -> None:
    started = processes.started(os.getpid())
    assert started is not None
    assert processes.is_alive(os.getpid(), started)
    assert not processes.is_alive(os.getpid(), started + 1)


def test_a_family_has_its_children(straggler: subprocess.Popen[bytes]) -> None:
    assert straggler.pid in processes.control_plane(os.getpid())
    assert processes.rss_mib([straggler.pid]) > 1
