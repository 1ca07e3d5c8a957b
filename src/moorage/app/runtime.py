"""Where a cloud's sockets are: below its state, or, when that is too long a path, in a directory of their own."""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moorage.app import processes
from moorage.domain.errors import Unavailable
from moorage.kit.locking import is_locked

LONGEST = 48  # characters: sockets below it may have 107
ELSEWHERE = Path("/tmp")
_NAME = re.compile(r"moorage-[0-9a-f]{16}")
_OWNER = "owner"  # a file in it: pid and start of the process that uses it
_WRITTEN_WITHIN = 10.0  # seconds from the directory to that file


@contextmanager
def runtime(state: Path) -> Iterator[Path]:
    """An empty directory for this process, gone at the end whatever happens short of SIGKILL. Raises Unavailable."""
    place = make(state)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def make(state: Path) -> Path:
    """An empty directory, used by this process, in place of one whose users were killed. Raises Unavailable."""
    place = place_of(state)
    require_ours(place)
    shutil.rmtree(place, ignore_errors=True)
    try:
        place.mkdir(mode=0o700)
        belongs_to(place, os.getpid())
    except OSError as error:
        shutil.rmtree(place, ignore_errors=True)
        raise Unavailable(f"cannot make {place} for sockets: {error.strerror}") from error
    return place


def belongs_to(place: Path, pid: int) -> None:
    """While this process lives, it is not swept."""
    (place / _OWNER).write_text(f"{pid} {processes.started(pid)}")


def place_of(state: Path) -> Path:
    """Always the same for the same state."""
    below = state / "run"
    if len(str(below)) <= LONGEST:
        return below
    return ELSEWHERE / f"moorage-{hashlib.sha256(str(state.absolute()).encode()).hexdigest()[:16]}"


def remove(state: Path) -> None:
    """Remove the directory of a cloud that does not run, wherever it is."""
    place = place_of(state)
    if is_ours(place):
        shutil.rmtree(place, ignore_errors=True)


def sweep(within: Path = ELSEWHERE) -> int:
    """Clear the directories whose cloud was killed, and what still runs there; says how many there were."""
    swept = 0
    for place in sorted(within.glob("moorage-*")):
        if _NAME.fullmatch(place.name) and is_ours(place) and not _is_used(place):
            processes.kill(processes.mentioning(place))
            shutil.rmtree(place, ignore_errors=True)
            swept += 1
    return swept


def is_ours(place: Path) -> bool:
    """Whether it is there, and nobody else can have put anything into it."""
    try:
        return place.is_dir() and not place.is_symlink() and place.lstat().st_uid == os.geteuid()
    except OSError:
        return False


def require_ours(place: Path) -> None:
    """Raises Unavailable where somebody else has put something in its place."""
    if os.path.lexists(place) and not is_ours(place):
        raise Unavailable(f"{place} belongs to somebody else: remove it, or take another --state-dir")


def is_lived_in(place: Path) -> bool:
    """Whether a world that outlives its `moorage up` is there: its holder locks the directory while anything of it
    lives."""
    return is_locked(place)


def _is_used(place: Path) -> bool:
    try:
        pid, since = (place / _OWNER).read_text().split()
        return processes.is_alive(int(pid), int(since))
    except (OSError, ValueError):  # one that is just being made has no owner yet
        return _age(place) < _WRITTEN_WITHIN


def _age(place: Path) -> float:
    try:
        return time.time() - place.stat().st_mtime
    except OSError:
        return 0.0
