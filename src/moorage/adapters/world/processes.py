"""Processes that the holder starts, and how they end: it is PID 1 of its PID namespace, so it reaps all of them."""

import errno
import os
import signal
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field

from moorage.adapters.world.links import NetworkNamespace
from moorage.domain.errors import Invalid, Unavailable

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BASE = {"PATH": _PATH, "LANG": "C.UTF-8"}  # every process's environment
_PASSING = frozenset({errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_RESET = [number for number in signal.valid_signals() if number not in {signal.SIGKILL, signal.SIGSTOP}]


@dataclass(eq=False)
class Process:
    """One that is alive, or is about to be reaped. It leads its own session and process group, of number `pid`."""

    name: str
    pid: int
    is_stopping: bool = False
    patience: float = float("inf")  # seconds from some stop to its SIGKILL: the fewest so far
    on_end: dict[object, Callable[[int], None]] = field(default_factory=dict)  # called with the exit code


def spawn(
    name: str,
    argv: tuple[str, ...],
    log: str | None,
    environment: Mapping[str, str],
    inside: NetworkNamespace,
    *,
    opens_log: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Process:
    """Start a process. It inherits nothing but its log: every descriptor of the holder's is closed on exec.

    The log is opened inside of `opens_log`.

    Raises Invalid when the program is not there or may not be run, or the log is no file that can be written;
    Unavailable when there is no room for one more process.
    """
    with _start_errors(f"starting {argv[0]}"):
        with opens_log():
            output = _output(log)
        try:
            with inside.entered():
                pid = os.posix_spawnp(
                    argv[0],
                    argv,
                    {**BASE, **environment},
                    file_actions=[
                        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                        (os.POSIX_SPAWN_DUP2, output, 1),
                        (os.POSIX_SPAWN_DUP2, output, 2),
                    ],
                    setsid=True,
                    setsigmask=[],
                    setsigdef=_RESET,
                )
        finally:
            os.close(output)
    return Process(name, pid)


def search_path(path: str) -> str:
    """Where the holder finds programs: `path`, then where root's are, which an ordinary user's lacks."""
    return ":".join([folder for folder in path.split(":") if folder.startswith("/")] + [_PATH])


def _output(log: str | None) -> int:
    """A descriptor to append to `log`; one that would keep us waiting, such as a FIFO, is refused."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    output = os.open(log or os.devnull, flags, 0o600)
    if log is not None and not stat.S_ISREG(os.fstat(output).st_mode):
        os.close(output)
        raise Invalid(f"{log} is no file to append to")
    os.set_blocking(output, True)
    return output


@contextmanager
def _start_errors(act: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = Unavailable if error.errno in _PASSING else Invalid
        raise kind(f"{act}: {error}") from error


def kill_all(process: Process, number: int) -> None:
    """Send a signal to the process and to its children that did not leave its process group."""
    with suppress(ProcessLookupError):  # it ended, and has not been reaped yet
        os.killpg(process.pid, number)


def reap(stopping: Callable[[int], bool]) -> Iterable[tuple[int, int]]:
    """The children that have ended, with their exit codes (negative: the signal).

    Where `stopping`, what is left of a child's process group is killed before its number can be given to another.
    """
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None:
            return
        if stopping(ended.si_pid):
            with suppress(ProcessLookupError):
                os.killpg(ended.si_pid, signal.SIGKILL)
        _, status = os.waitpid(ended.si_pid, 0)
        yield ended.si_pid, os.waitstatus_to_exitcode(status)


def inhabitants(namespace: NetworkNamespace) -> frozenset[int]:
    """The processes that are in a network namespace now, whoever started them."""
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit() and entry != "1":
            try:
                if os.stat(f"/proc/{entry}/ns/net").st_ino == namespace.inode:
                    found.add(int(entry))
            except OSError:  # it has ended
                continue
    return frozenset(found)
