"""The holder of a production host: its one host is the machine itself, and who asks it is lent no power over that.

In a private world a client may be anything, since all that the holder can reach there is its own. On a machine it is
told apart by the kernel who asks. What is started for a client runs as that client, without any privilege; only in a
network namespace that the holder has made may it do with links and addresses as it likes. In the machine's own network
nothing can be touched but the devices of ports, by their names.
"""

import os
import pwd
import re
import shutil
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from moorage.adapters.world import protocol
from moorage.domain.errors import Invalid

DEVICE = re.compile(r"tap[0-9a-f-]{11}")  # domain/ids.py::device_name
IN_NAMESPACE = ("net_admin", "net_raw", "net_bind_service")  # what DHCP servers and guests' clients need there
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_PEER, _GROUP = struct.Struct("3i"), struct.Struct("i")
_SO_PEERGROUPS = 59  # socket(7); since Linux 4.13
_MOST_GROUPS = 256  # as many as Python asks for


@dataclass(frozen=True)
class Who:
    """A user, with the groups of one of its processes."""

    uid: int
    gid: int
    groups: tuple[int, ...]

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Files are opened as this user, for the length of a `with`."""
        before = os.getegid(), os.getgroups()
        os.setgroups(self.groups)
        os.setegid(self.gid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(before[0])
            os.setgroups(before[1])


def user(name: str) -> Who:
    """A user of this machine, with all of its groups. Raises KeyError for an unknown one."""
    found = pwd.getpwnam(name)
    return Who(found.pw_uid, found.pw_gid, tuple(os.getgrouplist(name, found.pw_gid)))


def peer(client: socket.socket) -> Who:
    """Who has connected, as the kernel knows it."""
    _, uid, gid = _PEER.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    raw = client.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUP.size * _MOST_GROUPS)
    return Who(uid, gid, tuple(group for (group,) in _GROUP.iter_unpack(raw)))


@dataclass(frozen=True)
class Machine:
    """`guests`: who guests run as, apart from the clients and what they know; None: as the client."""

    guests: Who | None
    setpriv: str
    env: str

    def require_allowed(self, operation: protocol.AnyOperation) -> None:
        """Raises Invalid for what would touch more of the machine's own network than ports' devices."""
        match operation:
            case protocol.MakeTap(device=device) | protocol.MakeCable(device=device):
                devices = [device]
            case protocol.RemoveLink(device=device, namespace=""):
                devices = [device]
            case protocol.MoveLink(source=source, target=target):
                devices = [operation.device] * (source == "") + [operation.name or operation.device] * (target == "")
            case protocol.Connect() | protocol.OpenSocket(namespace=""):
                raise Invalid("that is not done in a machine's own network")
            case _:
                return
        for device in devices:
            if DEVICE.fullmatch(device) is None:
                raise Invalid(f"{device} is no port's device, and the machine's own are left alone")

    def runs_as(self, who: Who, *, is_guest: bool) -> Who:
        return self.guests if is_guest and self.guests is not None else who

    def tap_owner(self, who: Who) -> int:
        return self.runs_as(who, is_guest=True).uid

    def command(
        self, argv: tuple[str, ...], environment: Mapping[str, str], who: Who, *, in_namespace: bool
    ) -> tuple[str, ...]:
        """What runs `argv` as `who`, in `environment` and nothing else. Raises Invalid when there is no such program.

        The environment is given only once all privileges are gone: it may name libraries to load.
        """
        if shutil.which(argv[0], path=environment.get("PATH", _PATH)) is None:
            raise Invalid(f"starting {argv[0]}: there is no such program")
        granted = ",".join(["-all", *(f"+{name}" for name in IN_NAMESPACE if in_namespace)])
        groups = ("--groups", ",".join(map(str, who.groups))) if who.groups else ("--clear-groups",)
        return (
            *(self.setpriv, "--reuid", str(who.uid), "--regid", str(who.gid), *groups, "--no-new-privs"),
            *(f"--inh-caps={granted}", f"--ambient-caps={granted}", f"--bounding-set={granted}"),
            *("--", self.env, "-i", *(f"{name}={value}" for name, value in environment.items()), *argv),
        )


def find_machine(guests: Who | None) -> Machine:
    """Raises FileNotFoundError where a tool is missing that every Debian has."""
    found = {name: shutil.which(name, path=_PATH) for name in ("setpriv", "env")}
    for name, path in found.items():
        if path is None:
            raise FileNotFoundError(f"there is no {name} in {_PATH}")
    return Machine(guests, str(found["setpriv"]), str(found["env"]))
