"""Private places of `demo`, `experiment` and `bench`: named after their owner, gone with it, swept if it was killed."""

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moorage.app import processes
from moorage.domain.errors import Unavailable

LONGEST = 42  # characters of a place's path: its sockets are some folders below, and may have 107
_NAME = re.compile(r"(\d+)-(\d+)")  # pid, and its start: together they name one process


def area() -> Path:
    """The folder of all private places of this user: in TMPDIR, or in /tmp when that is too long for sockets."""
    return next((area for area in areas() if len(str(area / _own_name())) <= LONGEST), areas()[-1])


def open_area() -> Path:
    """The one in /tmp, to which the way is open to all: for places that others must pass through."""
    return areas()[-1]


def let_pass(place: Path) -> None:
    """Others may pass through it and what it is in, and neither list nor read: root's servers run as somebody else."""
    for folder in (place, *place.parents):
        mode = folder.stat().st_mode
        if mode & 0o001:
            return
        folder.chmod(mode | 0o011)


def areas() -> list[Path]:
    name = f"moorage-{os.geteuid()}"
    return list(dict.fromkeys([Path(tempfile.gettempdir()) / name, Path("/tmp") / name]))


@contextmanager
def private_place(within: Path | None = None) -> Iterator[Path]:
    """An empty folder of this process, which is deleted at the end whatever happens short of SIGKILL."""
    within = within or area()
    _make_area(within)
    place = within / _own_name()
    place.mkdir(mode=0o700)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        _leave(within)


def _own_name() -> str:
    return f"{os.getpid()}-{processes.started(os.getpid())}"


def sweep_all() -> None:
    """Clear what killed commands of this user have left."""
    for within in areas():
        sweep(within)


def sweep(within: Path) -> int:
    """Clear the places whose owner is dead, and what still runs there; says how many there were."""
    if not _is_ours(within):
        return 0
    swept = 0
    for place in sorted(within.iterdir()):
        named = _NAME.fullmatch(place.name)
        if named and not processes.is_alive(int(named[1]), int(named[2])):
            processes.kill(processes.mentioning(place))
            shutil.rmtree(place, ignore_errors=True)
            swept += 1
    _leave(within)
    return swept


def leftovers(place: Path, devices: list[str]) -> list[str]:
    """What is still there of a private cloud that has closed; `devices` are the network devices that it had."""
    left = [f"the folder {place}"] if place.exists() else []
    left += [f"process {pid}" for pid in processes.mentioning(place)]
    left += [f"network device {name}" for name in devices if Path("/sys/class/net", name).exists()]
    return left


def _make_area(within: Path) -> None:
    within.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_ours(within):
        raise Unavailable(f"{within} belongs to somebody else: remove it, or set TMPDIR to another folder")


def _is_ours(within: Path) -> bool:
    try:
        found = within.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _leave(within: Path) -> None:
    try:
        within.rmdir()
    except OSError:
        return  # another command has its place there
