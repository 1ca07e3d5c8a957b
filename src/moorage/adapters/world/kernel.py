"""The kernel's calls that Python 3.11 does not have."""

import ctypes
import fcntl
import os
import signal
import socket
import struct
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
TUN = "/dev/net/tun"
_MS_REC, _MS_SLAVE, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 0x4000, 0x80000, 2, 4, 8
_PR_SET_PDEATHSIG = 1
_TUNSETIFF, _TUNSETPERSIST, _TUNSETOWNER = 0x400454CA, 0x400454CB, 0x400454CC
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17
_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """New namespaces for this thread (a new PID namespace: for its children)."""
    _check(_libc.unshare(flags), "unshare")


def become_root_of_own_users() -> None:
    """A new user namespace, in which this process, its only thread, is root; outside it stays who it was."""
    user, group = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    _write("/proc/self/setgroups", "deny")  # or the kernel takes no map of groups from an ordinary user
    _write("/proc/self/uid_map", f"0 {user} 1")
    _write("/proc/self/gid_map", f"0 {group} 1")


def enter_network(descriptor: int) -> None:
    """Let this thread work in the network namespace that is open as `descriptor`."""
    _check(_libc.setns(descriptor, CLONE_NEWNET), "setns")


def forward_nothing() -> None:
    """Let the network namespace that this thread is in pass on no packet; a new one has what the machine is set to.

    Else a guest could have the namespace of a DHCP server, which every guest hears, hand its packets to others.
    """
    for path in ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"):
        if Path(path).exists() and Path(path).read_text().strip() != "0":  # no IPv6 here, no file
            _write(path, "0")


def mount_own_proc() -> None:
    """In a new mount namespace: nothing mounted here is seen outside; /proc shows the own PID namespace."""
    _check(_libc.mount(None, b"/", None, _MS_REC | _MS_SLAVE, None), "mount /")
    _check(_libc.mount(b"proc", b"/proc", b"proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None), "mount /proc")


def make_tap(device: str, *, is_persistent: bool, owner: int | None = None) -> None:
    """A tap in the network namespace that this thread is in; one that is not persistent is gone at once.

    `owner` is the user who may open it without a privilege.
    """
    tun = os.open(TUN, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TAP | _IFF_NO_PI))
        if owner is not None:
            fcntl.ioctl(tun, _TUNSETOWNER, owner)
        fcntl.ioctl(tun, _TUNSETPERSIST, int(is_persistent))
    finally:
        os.close(tun)


def set_up(device: str) -> None:
    """Set up a link of the network namespace that this thread is in."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        found = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, struct.pack("16sH22x", device.encode(), 0))
        flags: int = struct.unpack_from("H", found, 16)[0]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", device.encode(), flags | _IFF_UP))


def send_checksums(device: str) -> None:
    """Let a link of the network namespace that this thread is in send no packet without its checksums."""
    asked = ctypes.create_string_buffer(struct.pack("II", _ETHTOOL_STXCSUM, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCETHTOOL, struct.pack("16sP16x", device.encode(), ctypes.addressof(asked)))


def die_with_parent() -> None:
    """SIGKILL this process when the thread that made it ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0), "prctl")


def _write(path: str, text: str) -> None:
    with Path(path).open("w") as file:
        file.write(text)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
