"""What /proc tells of processes: who lives, since when, how big, and who mentions a folder."""

import os
import signal
from pathlib import Path

PROC = Path("/proc")


def started(pid: int) -> int | None:
    """When the process began, in ticks since the machine's start: with the pid it names one process. None: dead."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # a name may hold spaces and brackets: count from its end
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def is_alive(pid: int, since: int) -> bool:
    return started(pid) == since


def pids() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def mentioning(folder: Path) -> list[int]:
    """Processes, other than this one, with `folder` or something in it on their command line."""
    wanted = os.fsencode(folder)
    found = []
    for pid in pids():
        try:
            words = (PROC / str(pid) / "cmdline").read_bytes()
        except OSError:
            continue
        if pid != os.getpid() and any(end in words for end in (wanted + b"/", wanted + b"\0")):
            found.append(pid)
    return found


def kill(targets: list[int]) -> None:
    """End these processes at once; one that is gone already is fine."""
    for pid in targets:
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def family(pid: int) -> list[int]:
    """The process, its children and theirs."""
    parents: dict[int, int] = {}
    for other in pids():
        try:
            parents[other] = int((PROC / str(other) / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    members = [pid]
    for member in members:
        members.extend(child for child, parent in parents.items() if parent == member)
    return members


def children(pid: int) -> list[int]:
    """Of its first thread; none of one that is gone."""
    try:
        return [int(child) for child in (PROC / str(pid) / "task" / str(pid) / "children").read_text().split()]
    except OSError:
        return []


def innermost(pid: int) -> int | None:
    """Its number in the PID namespace that it lives in; None for one that is gone."""
    try:
        status = (PROC / str(pid) / "status").read_text()
    except OSError:
        return None
    return next(int(line.split()[-1]) for line in status.splitlines() if line.startswith("NSpid:"))


def rss_mib(of: list[int]) -> float:
    """The resident memory of these processes together; those that are gone count nothing."""
    pages = 0
    for pid in of:
        try:
            pages += int((PROC / str(pid) / "statm").read_text().split()[1])
        except (OSError, IndexError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def control_plane(pid: int) -> list[int]:
    """Those of a cloud's processes that are Moorage's own: what runs its Python (not OVS, dnsmasq, QEMU)."""
    ours = executable(pid)
    return [member for member in family(pid) if executable(member) == ours]


def executable(pid: int) -> str | None:
    try:
        return str((PROC / str(pid) / "exe").readlink())
    except OSError:
        return None
