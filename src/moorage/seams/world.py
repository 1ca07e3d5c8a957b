"""A host's privileged side: namespaces, links, processes, sockets. The holder behind it is the only privileged code."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ROOT = ""  # the host's own network namespace; others are named by whoever makes them


@dataclass(frozen=True)
class LinkChange:
    """What a link shall be after `move_link`; None leaves a thing as it is. `addresses` are CIDR ("10.0.0.2/24")."""

    name: str | None = None
    mac: str | None = None
    mtu: int | None = None
    addresses: tuple[str, ...] = ()
    up: bool = True


class World(Protocol):
    """One host's world. Names are the host's own; every method is repeatable and raises Unavailable when it fails."""

    async def make_namespace(self, name: str) -> None:
        """A network namespace with its loopback up, which forwards no packet; an existing one is kept."""

    async def remove_namespace(self, name: str) -> None:
        """The namespace, its links and every process that was started in it. A missing one is fine."""

    async def namespaces(self) -> frozenset[str]:
        """The names of all that were made and not removed."""

    async def links(self, namespace: str) -> frozenset[str]:
        """The names of the links in a namespace (ROOT is the host's own). Raises NotFound."""

    async def make_tap(self, device: str, *, mtu: int = 1500) -> None:
        """A persistent tap in ROOT, up, for a guest's NIC. An existing one is kept."""

    async def remove_link(self, device: str, *, namespace: str = ROOT) -> None:
        """A link. A missing one is fine."""

    async def move_link(self, device: str, source: str, target: str, change: LinkChange) -> None:
        """Move a link from one namespace to another (or leave it there) and set it up. Done already is fine.

        Raises NotFound when it is in neither.
        """

    async def make_cable(self, device: str, namespace: str, end: str, *, mac: str, mtu: int = 1500) -> None:
        """A cable from `device` in ROOT into a namespace, for a guest's NIC: there it is `end`, with that MAC, and what
        it sends has its checksums. Both ends are up, and go with the namespace, a moment after it. Repeatable.

        Raises NotFound when there is no such namespace.
        """

    async def connect(self, device: str, peer: str, peer_device: str, *, mtu: int = 1500) -> None:
        """A cable from `device` in ROOT to `peer_device` in that of the host `peer`, both up; repeatable."""

    async def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        namespace: str = ROOT,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        is_guest: bool = False,
    ) -> int:
        """Start a process that lives on until it ends, is stopped, or the world ends; returns its pid (in the world).

        `is_guest`: as the user that guests are, where the world has one.

        `name` is unique on the host: a living process of that name is kept, its pid returned. Output is appended to
        `log`. Raises Invalid when the program is not there.
        """

    async def stop(self, name: str, *, patience: float = 2.0) -> None:
        """SIGTERM, then SIGKILL after `patience` seconds; returns when the process is gone. A missing one is fine."""

    async def signal(self, name: str, number: int) -> None:
        """Send a signal. Raises NotFound when there is no such process."""

    async def wait(self, name: str) -> int:
        """Returns the exit code (negative: the signal) once the process has ended. Raises NotFound."""

    async def processes(self) -> Mapping[str, int]:
        """The living processes by name, with their pids."""

    async def socket(self, family: int, kind: int, protocol: int = 0, *, namespace: str = ROOT) -> socket.socket:
        """A non-blocking socket that was made inside a namespace, to use from here."""
