"""The way into a world of our own: as root, or without any right in a user namespace; and why it is closed."""

import errno
import os
from pathlib import Path

from moorage.adapters.world import kernel

_PROCESSES = kernel.CLONE_NEWPID | kernel.CLONE_NEWNS
_WORLD = _PROCESSES | kernel.CLONE_NEWNET
# A value that closes user namespaces to ordinary users, and one that opens them.
_SWITCHES = (
    ("user.max_user_namespaces", "0", "15000"),
    ("kernel.unprivileged_userns_clone", "0", "1"),  # Debian's
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),  # Ubuntu's
)
_CONTAINER = "run it outside of this container, or give the container CAP_SYS_ADMIN and CAP_NET_ADMIN"


class Closed(Exception):
    """A world cannot be made here: what was found, and what to do about it."""

    def __init__(self, found: str, cure: str) -> None:
        super().__init__(f"{found}; {cure}")
        self.found = found
        self.cure = cure


def leave_the_machine() -> None:
    """New mount and network namespaces for this process, which has one thread, and a PID namespace for its children.

    Who may not make them makes them as root of a user namespace of its own. Raises Closed.
    """
    try:
        kernel.unshare(_WORLD)
    except PermissionError:
        try:
            kernel.become_root_of_own_users()
            kernel.unshare(_WORLD)
        except OSError as error:
            raise Closed(*_why_refused(error)) from error
    except OSError as error:
        raise Closed(*_why_refused(error)) from error


def keep_to_the_machine() -> None:
    """As `leave_the_machine`, but for the network, which stays the machine's. Raises Closed."""
    try:
        kernel.unshare(_PROCESSES)
    except OSError as error:
        raise Closed(f"namespaces cannot be made ({_words(error)})", "run the holder of a machine as root") from error


def mount_own_proc() -> None:
    """As the first process of the PID namespace. Raises Closed."""
    try:
        kernel.mount_own_proc()
    except OSError as error:
        # The kernel lets a user namespace mount only what it can see in full already.
        cure = "run it outside of this container, or unmask /proc (docker: --security-opt systempaths=unconfined)"
        raise Closed(f"/proc cannot be mounted in a namespace ({_words(error)})", cure) from error


def try_tap() -> None:
    """Raises Closed when no taps can be made: guests and switches need them."""
    try:
        kernel.make_tap("moorage-trial", is_persistent=False)
    except PermissionError as error:
        raise Closed(f"{kernel.TUN} is closed to this user", f"as root: chmod 0666 {kernel.TUN}") from error
    except OSError as error:
        cure = f"as root: modprobe tun (in a container: give it the device {kernel.TUN})"
        raise Closed(f"{kernel.TUN} does not work ({_words(error)})", cure) from error


def _why_refused(error: OSError) -> tuple[str, str]:
    for name, closing, opening in _SWITCHES:
        if _switch(name) == closing:
            return f"user namespaces are closed ({name} = {closing})", f"as root: sysctl -w {name}={opening}"
    if error.errno in {errno.ENOSPC, errno.EUSERS}:
        return f"there are too many namespaces ({_words(error)})", "as root: sysctl -w user.max_user_namespaces=15000"
    return f"namespaces cannot be made ({_words(error)})", _CONTAINER


def _switch(name: str) -> str | None:
    try:
        return Path("/proc/sys", *name.split(".")).read_text().strip()
    except OSError:  # this kernel does not have it
        return None


def _words(error: OSError) -> str:
    return os.strerror(error.errno or 0)
