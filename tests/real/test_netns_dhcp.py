"""Guests of kind netns on a real Open vSwitch: they get their addresses from a real dnsmasq, answer, and vanish."""

import asyncio
import os
import signal
import socket
import struct
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from moorage.adapters.dnsmasq.dhcp import Dnsmasq, server_name
from moorage.adapters.netns.hypervisor import NetnsHypervisor, guest_name
from moorage.adapters.ovsdb import processes
from moorage.adapters.world.client import HolderProcess
from moorage.adapters.world.reach import ping
from moorage.domain.ids import NetworkId, PortId, ServerId, device_name
from moorage.domain.network import Route
from moorage.seams.dhcp import DhcpNetwork, DhcpRange, Reservation
from moorage.seams.hypervisor import Guest, GuestImage, GuestState, Nic
from moorage.seams.world import World

NETWORK = DhcpNetwork(
    NetworkId("5f0c9d3a-0000-4000-8000-000000000000"),
    "tap5f0c9d3a-dh",
    "fa:16:3e:00:00:02",
    1450,
    (DhcpRange("10.0.0.0/24", "10.0.0.2/24", "10.0.0.1", ("9.9.9.9",), (Route("192.168.0.0/16", "10.0.0.9"),)),),
    (),
)


class Rig:
    """A host with a switch, a DHCP server and guests."""

    def __init__(self, holder: HolderProcess, world: World, directory: Path) -> None:
        self.holder = holder
        self.world = world
        self.dhcp = Dnsmasq(world, directory / "dhcp")
        self.hypervisor = NetnsHypervisor(world, directory / "guests", look_every=0.05)
        self._directory = directory
        self._rundir = directory / "ovs"

    async def start_switch(self) -> None:
        self._rundir.mkdir(exist_ok=True)
        environment = processes.environment(self._rundir, {})
        if not (self._rundir / "conf.db").exists():
            await run(*processes.create_database(self._rundir))
        await self.world.start("ovsdb-server", processes.ovsdb_server(self._rundir), environment=environment)
        async with asyncio.timeout(5):
            while not is_listened_on(self._rundir / "db.sock"):
                await asyncio.sleep(0.001)
        await self.vsctl("--no-wait", "init")
        await self.world.start("ovs-vswitchd", processes.vswitchd(self._rundir), environment=environment)
        await self.vsctl("--may-exist", "add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev")

    async def vsctl(self, *arguments: str) -> None:
        await run("ovs-vsctl", f"--db=unix:{self._rundir}/db.sock", "--timeout=10", *arguments)

    async def plug(self, device: str, *settings: str) -> None:
        await self.vsctl("--may-exist", "add-port", "br-int", device, "tag=5", *settings)

    async def serve(self, *reservations: Reservation) -> None:
        await self.dhcp.serve(replace(NETWORK, reservations=reservations))

    async def boot(self, guest: Guest) -> None:
        await self.hypervisor.create_stopped(guest)
        for nic in guest.nics:
            await self.plug(nic.device)
        await self.hypervisor.resume(guest.server)

    async def address(self, guest: Guest) -> str:
        """The first that the guest says it has got."""
        while True:
            for line in (await self.hypervisor.console(guest.server)).decode().splitlines():
                if line.startswith("moorage-guest: address "):
                    return line.rpartition(" ")[2]
            await asyncio.sleep(0.001)

    async def output_in_guest(self, guest: Guest, *argv: str) -> str:
        """What a command prints that is run in a guest."""
        log = self._directory / "output"
        log.unlink(missing_ok=True)
        await self.world.start("output", argv, namespace=guest_name(guest.server), log=log)
        assert await self.world.wait("output") == 0
        return log.read_text()

    async def ping(self, address: str) -> None:
        """One echo request, sent where the DHCP server is."""
        loop = asyncio.get_running_loop()
        request = struct.pack("!BBHHH8s", 8, 0, 0, 7, 1, b"moorage!")
        total = sum(struct.unpack("!8H", request))
        total = (total & 0xFFFF) + (total >> 16)
        request = request[:2] + struct.pack("!H", ~total & 0xFFFF) + request[4:]
        namespace = server_name(NETWORK.network)
        with await self.world.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP, namespace=namespace) as raw:
            raw.connect((address, 0))
            await loop.sock_sendall(raw, request)
            reply = (await loop.sock_recv(raw, 1500))[20:]
        assert (reply[0], reply[4:]) == (0, request[4:])

    async def page(self, address: str) -> str:
        namespace = server_name(NETWORK.network)
        opened = await self.world.socket(socket.AF_INET, socket.SOCK_STREAM, namespace=namespace)
        await asyncio.get_running_loop().sock_connect(opened, (address, 80))
        reader, writer = await asyncio.open_connection(sock=opened)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        try:
            return (await reader.read()).decode()
        finally:
            writer.close()
            await writer.wait_closed()


async def run(*argv: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, f"{' '.join(argv)}: {output.decode()}"


@asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    with tempfile.TemporaryDirectory(prefix="moor-") as directory:
        async with HolderProcess() as holder:
            made = Rig(holder, holder.world("host-1"), Path(directory))
            await made.start_switch()
            await made.plug(NETWORK.device)
            yield made


def guest(number: int) -> Guest:
    port = PortId(f"0000000{number}-0000-4000-8000-00000000000b")
    nic = Nic(port, f"fa:16:3e:00:01:0{number}", device_name(port), 1450)
    server = ServerId(f"0000000{number}-0000-4000-8000-00000000000a")
    return Guest(server, f"web <{number}>", 1, 128, 0, GuestImage(), (nic,))


def reservation(of: Guest, address: str) -> Reservation:
    return Reservation(of.nics[0].port, of.nics[0].mac, address, "web")


async def test_a_guest_gets_its_address_answers_and_shows_its_page() -> None:
    async with rig() as host, asyncio.timeout(15):
        one, two = guest(1), guest(2)
        await host.serve(reservation(one, "10.0.0.11"), reservation(two, "10.0.0.12"))
        await host.boot(one)
        began = time.monotonic()
        assert await host.address(one) == "10.0.0.11"
        assert time.monotonic() - began < 0.9  # the client's first question was answered: it asks each second
        await host.boot(two)
        assert await host.address(two) == "10.0.0.12"
        for address in ("10.0.0.11", "10.0.0.12"):
            await host.ping(address)
        page = await host.page("10.0.0.11")
        assert " 200 OK" in page.splitlines()[0]
        assert "hello from web &lt;1&gt;" in page
        routes = await host.output_in_guest(one, "busybox", "ip", "route")
        assert "default via 10.0.0.1 dev eth0" in routes  # which option 121 repeats
        assert "192.168.0.0/16 via 10.0.0.9 dev eth0" in routes
        assert "mtu 1450" in await host.output_in_guest(one, "busybox", "ip", "link", "show", "eth0")


async def test_a_guest_asks_until_it_is_answered() -> None:
    async with rig() as host, asyncio.timeout(15):
        one = guest(1)
        await host.boot(one)
        await asyncio.sleep(0.2)  # it has asked in vain
        began = time.monotonic()
        await host.serve(reservation(one, "10.0.0.11"))
        assert await host.address(one) == "10.0.0.11"
        assert time.monotonic() - began < 3.0


async def test_an_address_goes_on_to_the_next_guest() -> None:
    async with rig() as host, asyncio.timeout(15):
        one, two = guest(1), guest(2)
        await host.serve(reservation(one, "10.0.0.11"))
        await host.boot(one)
        assert await host.address(one) == "10.0.0.11"
        await host.hypervisor.destroy(one.server)
        await host.vsctl("del-port", one.nics[0].device)
        before = await host.world.processes()
        await host.serve(reservation(two, "10.0.0.11"))
        assert await host.world.processes() == before  # dnsmasq has taken the release; it was not started anew
        await host.boot(two)
        assert await host.address(two) == "10.0.0.11"
        await host.ping("10.0.0.11")


async def test_off_on_and_rebooted_it_has_its_address_again() -> None:
    async with rig() as host, asyncio.timeout(15):
        one = guest(1)
        await host.serve(reservation(one, "10.0.0.11"))
        await host.boot(one)
        assert await host.address(one) == "10.0.0.11"
        await host.hypervisor.power_off(one.server)
        await host.boot(one)
        await host.hypervisor.reboot(one.server)
        assert (await host.hypervisor.states())[one.server] is GuestState.RUNNING
        while (await host.hypervisor.console(one.server)).count(b"moorage-guest: address") < 2:
            await asyncio.sleep(0.001)
        await host.ping("10.0.0.11")


async def test_guests_come_through_a_restart_of_the_switch() -> None:
    async with rig() as host, asyncio.timeout(15):
        one = guest(1)
        await host.serve(reservation(one, "10.0.0.11"))
        await host.boot(one)
        assert await host.address(one) == "10.0.0.11"
        before = await host.world.processes()
        await host.world.stop("ovs-vswitchd")
        await host.start_switch()
        assert await ping(host.world, server_name(NETWORK.network), "10.0.0.11", patience=10)
        after = await host.world.processes()
        for name in (guest_name(one.server), server_name(NETWORK.network)):
            assert after[name] == before[name]  # it was not even rebooted


@pytest.mark.parametrize("end", ["closed", "killed"])
async def test_nothing_is_left(end: str) -> None:
    links = set(os.listdir("/sys/class/net"))
    async with rig() as host, asyncio.timeout(15):
        one = guest(1)
        await host.serve(reservation(one, "10.0.0.11"))
        await host.boot(one)
        assert await host.address(one) == "10.0.0.11"
        inside, before = family(host.holder.pid), pids()
        namespaces = namespaces_of(inside)
        assert len(inside) >= 6  # the holder, ovsdb-server, ovs-vswitchd, dnsmasq, udhcpc, httpd
        assert len(namespaces) == 4  # the holder's, the host's, the DHCP server's, the guest's
        if end == "killed":
            os.kill(host.holder.pid, signal.SIGKILL)
    async with asyncio.timeout(0.5):  # for the kernel to do it
        while any(is_alive(pid) for pid in inside):
            await asyncio.sleep(0.001)
    # those that began since may be in new namespaces to which the kernel has given the old ones' numbers
    assert not namespaces & namespaces_of(pids() & before)
    assert set(os.listdir("/sys/class/net")) == links


def is_listened_on(path: Path) -> bool:
    """It is there a moment before."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def pids() -> set[int]:
    return {int(entry) for entry in os.listdir("/proc") if entry.isdigit()}


def family(pid: int) -> set[int]:
    """The descendants of a process."""
    children = {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    return children.union(*(family(child) for child in children))


def is_alive(pid: int) -> bool:
    """No: it is not there, or waits for nothing but its parent (the machine's init) to hear of its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def namespaces_of(pids: set[int]) -> set[str]:
    """The network namespaces that processes are in."""
    found = set()
    for pid in pids:
        with suppress(OSError):  # it has ended
            found.add(os.readlink(f"/proc/{pid}/ns/net"))
    return found
