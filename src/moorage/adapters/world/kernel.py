"""The kernel's calls that Python 3.11 does not have."""

import ctypes
import os
import signal

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
_MS_REC, _MS_SLAVE, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 0x4000, 0x80000, 2, 4, 8
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """New namespaces for this thread (a new PID namespace: for its children)."""
    _check(_libc.unshare(flags), "unshare")


def enter_network(descriptor: int) -> None:
    """Let this thread work in the network namespace that is open as `descriptor`."""
    _check(_libc.setns(descriptor, CLONE_NEWNET), "setns")


def mount_own_proc() -> None:
    """In a new mount namespace: nothing mounted here is seen outside; /proc shows the own PID namespace."""
    _check(_libc.mount(None, b"/", None, _MS_REC | _MS_SLAVE, None), "mount /")
    _check(_libc.mount(b"proc", b"/proc", b"proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None), "mount /proc")


def die_with_parent() -> None:
    """SIGKILL this process when the thread that made it ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0), "prctl")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
