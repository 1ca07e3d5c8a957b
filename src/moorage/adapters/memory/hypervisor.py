"""A simulated hypervisor (sub-fact held, hop running): its guests get their addresses when their ports are wired."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from moorage.adapters.memory.changes import Changes
from moorage.adapters.memory.dhcp import MemoryDhcp
from moorage.adapters.memory.switch import MemorySwitch
from moorage.domain.errors import Conflict, Invalid, NotFound, Unavailable
from moorage.domain.ids import PortId, ServerId
from moorage.seams.hypervisor import Guest, GuestState, Nic

CONSOLE_SIZE = 1 << 20  # bytes


@dataclass
class _Simulated:
    """A guest of the simulated world."""

    guest: Guest
    state: GuestState = GuestState.HELD
    console: bytearray = field(default_factory=bytearray)
    addresses: dict[PortId, str] = field(default_factory=dict)

    def print(self, line: str) -> None:
        self.console += line.encode() + b"\r\n"
        del self.console[:-CONSOLE_SIZE]

    def start(self) -> None:
        self.state = GuestState.RUNNING
        self.addresses.clear()
        self.print("moorage-guest: init is up")
        for number, nic in enumerate(self.guest.nics):
            self.print(f"moorage-guest: eth{number} is {nic.mac}, asking by DHCP")

    def stop(self) -> None:
        self.state = GuestState.OFF
        self.addresses.clear()


class MemoryHypervisor:
    """Fulfils Hypervisor. It is part of the world: it outlives the compute service, as QEMU's processes do.

    A running guest asks by DHCP on each NIC all the time, and has an answer in no time once there is a way: its port
    wired in the generation that is plugged, the DHCP server's port open on the same VLAN, a reservation for its MAC.
    Faults are settings: `broken_images`, `is_down`, `deaf`, `silent`, `switches_itself_off()`, `dies()`.
    """

    def __init__(
        self,
        switch: MemorySwitch,
        dhcp: MemoryDhcp,
        *,
        create: float = 0.002,  # seconds, as all here
        resume: float = 0.001,
        power_off: float = 0.0,
    ) -> None:
        self._switch = switch
        self._dhcp = dhcp
        self._create_latency = create
        self._resume_latency = resume
        self._power_off_latency = power_off
        self._guests: dict[ServerId, _Simulated] = {}
        self._ended: dict[ServerId, None] = {}
        self._endings = Changes()
        self.broken_images: set[Path] = set()
        """Kernels, ramdisks and disks that cannot be opened."""
        self.is_down = False
        """While true every call raises Unavailable."""
        self.deaf: set[ServerId] = set()
        """Guests whose OS does not listen when it is asked to switch off."""
        self.silent: set[ServerId] = set()
        """Guests that do not answer for themselves (as a QEMU that hangs); they can only be switched off, hard."""
        switch.changes.listen(self._all_ask)
        dhcp.changes.listen(self._all_ask)

    # The world as it is, for other parts of it and for tests

    def address_of(self, server: ServerId) -> str | None:
        """The address that the running guest has got on its first NIC; None while it has none."""
        found = self._guests.get(server)
        if found is None or not found.guest.nics:
            return None
        return found.addresses.get(found.guest.nics[0].port)

    # Faults, and what users do

    def switches_itself_off(self, server: ServerId) -> None:
        """The guest's OS shuts down."""
        self._guests[server].print("moorage-guest: powering off")
        self.dies(server)

    def dies(self, server: ServerId) -> None:
        """The guest's process ends without a word."""
        self._guests[server].stop()
        self._ended[server] = None
        self._endings.tell()

    def writes(self, server: ServerId, line: str) -> None:
        """The guest writes a line to its console."""
        self._guests[server].print(line)

    # Hypervisor

    async def create_stopped(self, guest: Guest) -> None:
        await self._reach(self._create_latency, f"creating guest {guest.server}")
        broken = self.broken_images & {guest.image.kernel, guest.image.ramdisk, guest.image.disk}
        if broken:
            raise Invalid(f"creating guest {guest.server}: Could not open '{min(broken)}': No such file or directory")
        found = self._guests.get(guest.server)
        self._require_answer(guest.server)
        if found is not None and found.state in (GuestState.RUNNING, GuestState.PAUSED):
            raise Conflict(f"creating guest {guest.server}: it is {found.state} already")
        if found is None:
            self._guests[guest.server] = _Simulated(guest)
        elif found.state is GuestState.OFF or found.guest.nics != guest.nics:
            found.guest = guest
            found.state = GuestState.HELD
            self._ended.pop(guest.server, None)

    async def resume(self, server: ServerId) -> None:
        await self._reach(self._resume_latency, f"resuming guest {server}")
        found = self._found(server)
        self._require_answer(server)
        if found.state is GuestState.OFF:
            raise NotFound(f"resuming guest {server}: it is off")
        if found.state is GuestState.HELD:
            found.start()
            self._ask(found)

    async def power_off(self, server: ServerId, *, patience: float = 0.0) -> None:
        await self._reach(self._power_off_latency, f"switching off guest {server}")
        found = self._guests.get(server)
        if found is None or found.state is GuestState.OFF:
            return
        await self._ask_to_end(found, patience)
        found.stop()

    async def reboot(self, server: ServerId, *, patience: float = 5.0) -> None:
        await self._reach(self._resume_latency, f"rebooting guest {server}")
        await self._ask_to_end(self._running(server), patience)
        found = self._running(server)
        found.start()
        self._ask(found)

    async def pause(self, server: ServerId) -> None:
        await self._reach(self._resume_latency, f"pausing guest {server}")
        self._executing(server).state = GuestState.PAUSED

    async def unpause(self, server: ServerId) -> None:
        await self._reach(self._resume_latency, f"unpausing guest {server}")
        found = self._executing(server)
        found.state = GuestState.RUNNING
        self._ask(found)

    async def destroy(self, server: ServerId) -> None:
        await self._reach(self._power_off_latency, f"destroying guest {server}")
        self._guests.pop(server, None)
        self._ended.pop(server, None)

    async def state(self, server: ServerId) -> GuestState | None:
        await self._reach(0.0, f"looking at guest {server}")
        found = self._guests.get(server)
        return None if found is None else self._said(found)

    async def states(self) -> Mapping[ServerId, GuestState]:
        await self._reach(0.0, "listing guests")
        return {server: self._said(found) for server, found in self._guests.items()}

    async def ended(self) -> AsyncIterator[ServerId]:
        while True:
            while not self._ended:
                await self._endings.after(self._endings.count)
            server = next(iter(self._ended))
            del self._ended[server]
            yield server

    async def console(self, server: ServerId) -> bytes:
        return bytes(self._found(server).console)

    async def open_console(self, server: ServerId) -> socket.socket:
        self._found(server)
        raise Invalid("a simulated guest has no serial console: `openstack console log show` shows its words")

    # Inside

    async def _reach(self, latency: float, act: str) -> None:
        """Come to the hypervisor; every change happens after it, in one go."""
        await asyncio.sleep(latency)
        if self.is_down:
            raise Unavailable(f"{act}: the hypervisor does not answer")

    async def _ask_to_end(self, found: _Simulated, patience: float) -> None:
        """Ask a running guest's OS to end, which it does at once, or never."""
        if found.state is GuestState.RUNNING and patience:
            if found.guest.server in self.deaf:
                await asyncio.sleep(patience)
            else:
                found.print("moorage-guest: powering off")

    def _found(self, server: ServerId) -> _Simulated:
        found = self._guests.get(server)
        if found is None:
            raise NotFound(f"there is no guest {server}")
        return found

    def _running(self, server: ServerId) -> _Simulated:
        found = self._found(server)
        self._require_answer(server)
        if found.state is not GuestState.RUNNING:
            raise Conflict(f"rebooting guest {server}: it is {found.state}")
        return found

    def _executing(self, server: ServerId) -> _Simulated:
        """A guest that runs, or is paused."""
        found = self._found(server)
        self._require_answer(server)
        if found.state not in (GuestState.RUNNING, GuestState.PAUSED):
            raise Conflict(f"pausing or unpausing guest {server}: it is {found.state}")
        return found

    def _said(self, found: _Simulated) -> GuestState:
        is_silent = found.guest.server in self.silent and found.state is not GuestState.OFF
        return GuestState.UNKNOWN if is_silent else found.state

    def _require_answer(self, server: ServerId) -> None:
        found = self._guests.get(server)
        if found is not None and self._said(found) is GuestState.UNKNOWN:
            raise Unavailable(f"guest {server} does not answer")

    def _all_ask(self) -> None:
        """What the guests' DHCP clients do at every change of the world."""
        for found in self._guests.values():
            self._ask(found)

    def _ask(self, found: _Simulated) -> None:
        if found.state is GuestState.RUNNING and len(found.addresses) < len(found.guest.nics):
            for nic in found.guest.nics:
                address = None if nic.port in found.addresses else self._offered(nic)
                if address is not None:
                    found.addresses[nic.port] = address
                    found.print(f"moorage-guest: address {address}")

    def _offered(self, nic: Nic) -> str | None:
        """The address that DHCP offers on this NIC; None while there is no way to a server, or none for its MAC."""
        port = self._switch.interface(nic.port)
        if port is None or port.ofport is None or port.network is None or port.wired != (port.generation or "-"):
            return None
        served = self._dhcp.network(port.network)
        server = self._switch.service_port(served.device) if served else None
        if server is None or server.ofport is None or server.vlan != port.vlan:
            return None
        found = self._dhcp.reservation(port.network, nic.mac)
        return found.address if found else None
