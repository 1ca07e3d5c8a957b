"""Where sockets are: below a short state directory; for a long one elsewhere, and never left there."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.app.runtime import place_of, remove, runtime, sweep
from moorage.app.state import StateDir
from moorage.domain.errors import Unavailable


@pytest.fixture
def long(tmp_path: Path) -> Iterator[Path]:
    """A state directory with a long path."""
    state = StateDir(tmp_path / "so long that no socket below it has a path of 107 characters")
    state.cloud.mkdir(parents=True)
    yield state.cloud
    shutil.rmtree(place_of(state.cloud), ignore_errors=True)


def test_a_short_path_holds_its_own_sockets() -> None:
    assert place_of(Path("/srv/cloud")) == Path("/srv/cloud/run")


def test_a_long_path_has_them_elsewhere_and_nothing_is_left(long: Path) -> None:
    with runtime(long) as place:
        assert len(str(place)) < 40
        assert place.stat().st_mode & 0o777 == 0o700
    assert not place.exists()


def test_what_a_killed_cloud_has_left_is_swept(long: Path) -> None:
    place = killed(long)
    assert sweep() >= 1
    assert not place.exists()


def test_a_living_cloud_is_spared(long: Path) -> None:
    with runtime(long) as place:
        sweep()
        assert place.is_dir()


def test_one_that_is_just_being_made_is_spared(long: Path) -> None:
    place_of(long).mkdir()
    sweep()
    assert place_of(long).is_dir()
    os.utime(place_of(long), (0, 0))
    sweep()
    assert not place_of(long).exists()


def test_a_purge_removes_it(long: Path) -> None:
    place = killed(long)
    StateDir(long.parent).purge()
    assert not place.exists()
    assert not long.parent.exists()


def test_somebody_elses_link_is_left_alone(long: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    place_of(long).symlink_to(tmp_path / "theirs")
    sweep()
    remove(long)
    assert (tmp_path / "theirs").is_dir()
    place_of(long).unlink()


def test_what_somebody_else_has_put_there_is_told(long: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    place_of(long).symlink_to(tmp_path / "theirs")
    with pytest.raises(Unavailable, match="belongs to somebody else"), runtime(long):
        raise AssertionError("it was taken")
    place_of(long).unlink()


def killed(state: Path) -> Path:
    """The place of a cloud whose process is no more (none has started in tick 0)."""
    place = place_of(state)
    place.mkdir()
    (place / "owner").write_text(f"{os.getpid()} 0")
    return place
