"""What runs guests on a host (sub-fact held, hop running)."""

import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from moorage.domain.ids import PortId, ServerId


@dataclass(frozen=True)
class Nic:
    port: PortId
    mac: str
    device: str  # its name on the host
    mtu: int = 1500  # bytes


@dataclass(frozen=True)
class GuestImage:
    """Local files, never written to. Either kernel and ramdisk, or a disk ("raw" or "qcow2"), or both."""

    kernel: Path | None = None
    ramdisk: Path | None = None
    disk: Path | None = None
    disk_format: str = "raw"
    command_line: str = ""


@dataclass(frozen=True)
class Guest:
    server: ServerId
    name: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    image: GuestImage
    nics: tuple[Nic, ...]


class GuestState(StrEnum):
    HELD = "held"  # created by us, never let run
    RUNNING = "running"
    PAUSED = "paused"  # the user's pause: never resumed by us
    OFF = "off"  # its disk and records are there, it does not run
    UNKNOWN = "unknown"  # it is there, and does not answer: to be left alone, or destroyed


class Hypervisor(Protocol):
    async def create_stopped(self, guest: Guest) -> None:
        """Make the guest, held: it has its devices and executes nothing. Its NICs' devices exist when this returns.

        Repeatable: an existing held guest is kept if it has the same NICs, one that is off is made anew on its own
        disk. Raises Conflict when it runs already, Invalid when the guest can never start (the hypervisor's own
        words, e.g. a disk it cannot open), Unavailable.
        """

    async def resume(self, server: ServerId) -> None:
        """Let the held guest run; returns when that is confirmed. A running one is left alone.

        Raises NotFound, Unavailable.
        """

    async def power_off(self, server: ServerId, *, patience: float = 0.0) -> None:
        """Switch it off, after asking its OS politely and waiting `patience` seconds; disk and console log stay.

        A guest that is off, or is not there, is fine. Raises Unavailable.
        """

    async def reboot(self, server: ServerId, *, patience: float = 5.0) -> None:
        """Restart its OS in place (devices stay as they are). Raises NotFound, Conflict when it is off, Unavailable."""

    async def pause(self, server: ServerId) -> None:
        """Halt the running guest: it executes nothing, and keeps its memory and devices. A paused one is left alone.

        Raises NotFound, Conflict when it does not run, Unavailable.
        """

    async def unpause(self, server: ServerId) -> None:
        """Let the paused guest go on where it was halted. A running one is left alone.

        Raises NotFound, Conflict when it is held or off, Unavailable.
        """

    async def destroy(self, server: ServerId) -> None:
        """Remove the guest: process, devices, disk, log. One that is not there is fine. Raises Unavailable."""

    async def state(self, server: ServerId) -> GuestState | None:
        """This guest; None when it is not there. No other guest can delay it. Raises Unavailable."""

    async def states(self) -> Mapping[ServerId, GuestState]:
        """Every guest of this host. One that does not answer is UNKNOWN, for which the others wait 5 s at most.

        Raises Unavailable when the guests cannot be listed at all.
        """

    def ended(self) -> AsyncIterator[ServerId]:
        """Guests whose OS switched them off, or whose process died, as it happens. Does not end."""

    async def console(self, server: ServerId) -> bytes:
        """What the guest has written to its console, at most the last 1 MiB. Raises NotFound."""

    async def open_console(self, server: ServerId) -> socket.socket:
        """A connected stream of the guest's serial console, both ways; one at a time is heard.

        Raises NotFound when there is no such guest, Conflict when it is off, Invalid where guests have no serial
        console, Unavailable.
        """
