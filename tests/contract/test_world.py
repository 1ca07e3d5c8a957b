"""The World seam: every adapter through one suite."""

import asyncio
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from moorage.adapters.world.client import HeldWorld, HolderProcess
from moorage.adapters.world.connection import Connection
from moorage.adapters.world.reach import ping
from moorage.domain.errors import Invalid, NotFound, Unavailable
from moorage.seams.world import ROOT, LinkChange, World

ADAPTERS = ["holder"]


@pytest.fixture(params=ADAPTERS)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    assert request.param == "holder"
    async with HolderProcess() as holder:
        yield holder.world("host-1")


async def test_a_namespace_is_made_once_and_has_its_loopback(world: World) -> None:
    await world.make_namespace("guest-1")
    await world.make_namespace("guest-1")
    assert await world.namespaces() == {"guest-1"}
    assert await world.links("guest-1") == {"lo"}


async def test_a_namespace_passes_no_packets_on(world: World, tmp_path: Path) -> None:
    await world.make_namespace("dhcp-1")
    log = tmp_path / "log"
    told = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding; echo; echo told"
    await world.start("reader", ["sh", "-c", told], namespace="dhcp-1", log=log)
    async with asyncio.timeout(5):
        while not (log.exists() and log.read_text().endswith("told\n")):
            await asyncio.sleep(0.01)
    assert "1" not in log.read_text()


def test_a_namespace_passes_none_on_where_the_machine_is_set_to() -> None:
    script = """if True:
        from pathlib import Path
        from moorage.adapters.world import kernel
        kernel.become_root_of_own_users()
        kernel.unshare(kernel.CLONE_NEWNET)
        forwarding = Path("/proc/sys/net/ipv4/ip_forward")
        forwarding.write_text("1")
        before = forwarding.read_text()
        kernel.forward_nothing()
        print(before, forwarding.read_text())
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "0"]


async def test_a_removed_namespace_is_gone_with_its_processes(world: World) -> None:
    await world.make_namespace("guest-1")
    await world.start("sleeper", ["sh", "-c", "sleep 1000 & sleep 1001"], namespace="guest-1")
    await world.start("bystander", ["sleep", "1000"])
    await world.remove_namespace("guest-1")
    await world.remove_namespace("guest-1")
    assert await world.namespaces() == frozenset()
    assert set(await world.processes()) == {"bystander"}
    with pytest.raises(NotFound):
        await world.links("guest-1")


async def test_a_tap_is_made_once_and_removed(world: World) -> None:
    await world.make_tap("tap1", mtu=1450)
    await world.make_tap("tap1", mtu=1450)
    assert "tap1" in await world.links(ROOT)
    await world.remove_link("tap1")
    await world.remove_link("tap1")
    assert "tap1" not in await world.links(ROOT)


async def test_a_link_moves_and_may_be_moved_again(world: World) -> None:
    await world.make_namespace("guest-1")
    await world.make_tap("tap1")
    change = LinkChange("eth0", "fa:16:3e:00:00:01", 1400, ("10.0.0.2/24",))
    for _ in range(2):
        await world.move_link("tap1", ROOT, "guest-1", change)
        assert await world.links("guest-1") == {"lo", "eth0"}
        assert "tap1" not in await world.links(ROOT)
    listener = await world.socket(socket.AF_INET, socket.SOCK_DGRAM, namespace="guest-1")
    with listener:
        listener.bind(("10.0.0.2", 0))
    await world.move_link("eth0", "guest-1", ROOT, LinkChange("tap1"))
    assert await world.links("guest-1") == {"lo"}
    assert "tap1" in await world.links(ROOT)


async def test_a_link_does_not_take_anothers_name(world: World) -> None:
    await world.make_namespace("guest-1")
    for _ in range(2):
        await world.make_tap("tap1")
        with suppress(Unavailable):
            await world.move_link("tap1", ROOT, "guest-1", LinkChange("eth0"))
    assert "tap1" in await world.links(ROOT)
    assert await world.links("guest-1") == {"lo", "eth0"}


async def test_a_link_gets_exactly_the_addresses_it_shall_have(world: World) -> None:
    await world.make_tap("tap1")
    await world.move_link("tap1", ROOT, ROOT, LinkChange(addresses=("10.0.0.2/24", "10.0.1.2/24")))
    await world.move_link("tap1", ROOT, ROOT, LinkChange(addresses=("10.0.1.2/24",)))
    await world.move_link("tap1", ROOT, ROOT, LinkChange(mtu=1400))
    with await world.socket(socket.AF_INET, socket.SOCK_DGRAM) as kept:
        kept.bind(("10.0.1.2", 0))
    with await world.socket(socket.AF_INET, socket.SOCK_DGRAM) as dropped, pytest.raises(OSError, match="assign"):
        dropped.bind(("10.0.0.2", 0))


async def test_a_link_that_is_nowhere_is_not_found(world: World) -> None:
    await world.make_namespace("guest-1")
    with pytest.raises(NotFound):
        await world.move_link("tap1", ROOT, "guest-1", LinkChange())
    with pytest.raises(NotFound):
        await world.move_link("tap1", ROOT, "nowhere", LinkChange())


async def test_a_process_is_started_once_and_says_how_it_ended(world: World, tmp_path: Path) -> None:
    log = tmp_path / "log"
    pid = await world.start(
        "speaker",
        ["sh", "-c", "echo $GREETING; read x < /dev/null; sleep 1000"],
        log=log,
        environment={"GREETING": "hi"},
    )
    assert await world.start("speaker", ["sh", "-c", "echo again"], log=log) == pid
    assert await world.processes() == {"speaker": pid}
    while log.read_text() != "hi\n":
        await asyncio.sleep(0.001)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        ended = group.create_task(world.wait("speaker"))
        await world.signal("speaker", signal.SIGTERM)
    assert ended.result() == -signal.SIGTERM
    assert log.read_text() == "hi\n"
    assert await world.processes() == {}
    assert await world.wait("speaker") == -signal.SIGTERM
    await world.start("speaker", ["sh", "-c", "exit 7"])
    assert await world.wait("speaker") == 7


async def test_a_program_that_is_not_there_is_invalid(world: World) -> None:
    with pytest.raises(Invalid):
        await world.start("nothing", ["/no/such/program"])
    with pytest.raises(NotFound):
        await world.start("nothing", ["sleep", "1"], namespace="nowhere")


async def test_no_request_ends_the_world() -> None:
    async with HolderProcess() as holder:
        world = holder.world("host-1")
        for refused in (
            holder.world("../host").namespaces(),
            holder.world("").namespaces(),
            world.make_namespace("../guest"),
            world.make_namespace(""),
            world.make_tap("a" * 16),
            world.start("a", []),
            world.start("a", ["sl\0eep"]),
            world.start("a", ["\udcff"]),
            world.start("a", ["a" * 30_000] * 6),
            world.start("a", ["a"] * 1000),
            world.start("a", ["/"]),
            world.start("a", ["true"], environment={"A=B": ""}),
            world.start("a", ["true"], log=Path("somewhere")),
            world.start("a", ["true"], log=Path("/no/such/directory/log")),
            world.signal("a", 0),
            world.move_link("lo", ROOT, ROOT, LinkChange(addresses=("1.2.3.444/24",))),
            world.move_link("lo", ROOT, ROOT, LinkChange(mac="somewhere")),
            world.make_cable("tap1", "", "eth0", mac="fa:16:3e:00:00:01"),
            world.socket(socket.AF_UNIX, socket.SOCK_STREAM),
        ):
            with pytest.raises(Invalid):
                await refused
        with pytest.raises(Unavailable):
            await world.socket(socket.AF_INET, 9)
        assert await world.namespaces() == frozenset()


async def test_stop_asks_first_and_then_kills(world: World, tmp_path: Path) -> None:
    log = tmp_path / "log"
    await world.start("polite", ["sleep", "1000"])
    await world.stop("polite", patience=60)
    await world.start("stubborn", ["sh", "-c", "trap '' TERM; echo deaf; sleep 1000 & wait"], log=log)
    while log.read_text() != "deaf\n":
        await asyncio.sleep(0.001)
    began = time.monotonic()
    await world.stop("stubborn", patience=0.2)
    assert 0.2 <= time.monotonic() - began < 1.5
    await world.stop("stubborn")
    assert await world.processes() == {}


async def test_unknown_processes_are_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        await world.signal("nobody", signal.SIGTERM)
    with pytest.raises(NotFound):
        await world.wait("nobody")


async def test_sockets_belong_to_their_namespace(world: World) -> None:
    loop = asyncio.get_running_loop()
    for namespace in ("guest-1", "guest-2"):
        await world.make_namespace(namespace)
    with (
        await world.socket(socket.AF_INET, socket.SOCK_STREAM, namespace="guest-1") as server,
        await world.socket(socket.AF_INET, socket.SOCK_STREAM, namespace="guest-1") as neighbour,
        await world.socket(socket.AF_INET, socket.SOCK_STREAM, namespace="guest-2") as stranger,
    ):
        assert not server.getblocking()
        server.bind(("127.0.0.1", 80))
        server.listen()
        await loop.sock_connect(neighbour, ("127.0.0.1", 80))
        with pytest.raises(ConnectionRefusedError):
            await loop.sock_connect(stranger, ("127.0.0.1", 80))


async def test_a_cancelled_wait_disturbs_nobody(world: World) -> None:
    await world.start("sleeper", ["sleep", "1000"])
    with suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await world.wait("sleeper")
    await asyncio.gather(world.stop("sleeper"), world.stop("sleeper"), *(world.namespaces() for _ in range(200)))
    assert await world.processes() == {}


async def test_hosts_have_worlds_of_their_own() -> None:
    async with HolderProcess() as holder:
        one, two = holder.world("host-1"), holder.world("host-2")
        await one.make_tap("tap1")
        await one.make_namespace("guest-1")
        assert await two.links(ROOT) == {"lo"}
        assert await two.namespaces() == frozenset()


async def test_hosts_are_connected_by_a_cable() -> None:
    async with HolderProcess() as holder:
        one, two = holder.world("host-1"), holder.world("host-2")
        for _ in range(2):
            await one.connect("up0", "host-2", "down0")
        await one.move_link("up0", ROOT, ROOT, LinkChange(addresses=("10.0.0.1/24",)))
        await two.move_link("down0", ROOT, ROOT, LinkChange(addresses=("10.0.0.2/24",)))
        assert await ping(one, ROOT, "10.0.0.2", patience=5.0)
        await two.remove_link("down0")
        assert await one.links(ROOT) == {"lo"}
        await two.make_tap("taken")
        with pytest.raises(Unavailable):
            await one.connect("up0", "host-2", "taken")


async def test_a_cable_ends_in_a_namespace_and_goes_with_it(world: World) -> None:
    await world.make_namespace("guest-1")
    for _ in range(2):
        await world.make_cable("tap1", "guest-1", "eth0", mac="fa:16:3e:00:00:01", mtu=1450)
    assert "tap1" in await world.links(ROOT)
    assert await world.links("guest-1") == {"lo", "eth0"}
    await world.remove_namespace("guest-1")
    await world.make_namespace("guest-1")  # at once: the kernel has not cleared up yet
    await world.make_cable("tap1", "guest-1", "eth0", mac="fa:16:3e:00:00:01")
    assert await world.links("guest-1") == {"lo", "eth0"}
    await world.remove_namespace("guest-1")
    async with asyncio.timeout(5):
        while "tap1" in await world.links(ROOT):
            await asyncio.sleep(0.001)
    with pytest.raises(NotFound):
        await world.make_cable("tap1", "guest-1", "eth0", mac="fa:16:3e:00:00:01")


async def test_what_is_sent_into_a_cable_has_its_mac_and_its_checksum(world: World) -> None:
    """A userspace switch hands packets on as they come, and whoever gets one looks at its checksum."""
    loop = asyncio.get_running_loop()
    await world.make_namespace("guest-1")
    await world.make_cable("tap1", "guest-1", "eth0", mac="fa:16:3e:00:00:01")
    await world.move_link("eth0", "guest-1", "guest-1", LinkChange(addresses=("10.0.0.1/24",)))
    with (
        await world.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as wire,
        await world.socket(socket.AF_INET, socket.SOCK_DGRAM, namespace="guest-1") as sender,
    ):
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sender.sendto(b"hello" * 3, ("10.0.0.255", 4242))
        async with asyncio.timeout(5):
            frame = await loop.sock_recv(wire, 2000)
    assert frame[6:12].hex(":") == "fa:16:3e:00:00:01"
    packet = frame[14:]
    datagram = packet[20:] + b"\0"  # of an odd length
    pseudo_header = packet[12:20] + struct.pack("!HH", socket.IPPROTO_UDP, len(packet) - 20)
    assert sum(struct.unpack(f"!{(12 + len(datagram)) // 2}H", pseudo_header + datagram)) % 0xFFFF == 0


@pytest.mark.parametrize("end", ["closed", "outer killed", "inner killed"])
async def test_a_world_ends_without_a_trace(end: str, tmp_path: Path) -> None:
    before = set(os.listdir("/sys/class/net")), Path("/proc/self/mountinfo").read_text()
    mark = f"10{os.getpid()}.{end.count('e')}{len(end)}"  # a length of sleep that is ours alone
    async with HolderProcess() as holder:
        world = holder.world("host-1")
        await world.make_namespace("guest-1")
        await world.make_tap("tapgone")
        await world.start("one", ["setsid", "sleep", mark], namespace="guest-1")
        await world.start("two", ["sh", "-c", f"sleep {mark} & sleep {mark}"])
        async with asyncio.timeout(5):
            while len(_commands(mark)) < 3:
                await asyncio.sleep(0.001)
        if end == "outer killed":
            os.kill(holder.pid, signal.SIGKILL)
        if end == "inner killed":
            [inner] = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
            os.kill(int(inner), signal.SIGKILL)
        if end.endswith("killed"):
            async with asyncio.timeout(5):
                while _commands(mark):
                    await asyncio.sleep(0.001)
            with pytest.raises(Unavailable):
                await world.namespaces()
    assert not _commands(mark)
    assert not Path(f"/proc/{holder.pid}").exists()
    assert before == (set(os.listdir("/sys/class/net")), Path("/proc/self/mountinfo").read_text())


def _commands(mark: str) -> list[str]:
    """The processes of this machine that have `mark` among their arguments."""
    found = []
    for entry in os.listdir("/proc"):
        with suppress(OSError):
            if entry.isdigit() and mark.encode() in Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0"):
                found.append(entry)
    return found


async def test_a_world_ends_with_the_process_that_started_it() -> None:
    mark = f"11{os.getpid()}.5"
    program = f"""
import asyncio, os, signal
from moorage.adapters.world.client import HolderProcess
async def main():
    async with HolderProcess() as holder:
        await holder.world("host-1").start("one", ["sleep", "{mark}"])
        print("started", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env={**os.environ, "PYTHONPATH": "src"}, stdout=asyncio.subprocess.PIPE
    )
    assert starter.stdout is not None
    async with asyncio.timeout(10):
        assert await starter.stdout.readline() == b"started\n"
        starter.kill()
        await starter.wait()
        while _commands(mark):
            await asyncio.sleep(0.001)


async def test_a_world_on_a_path_lives_on_between_clients(tmp_path: Path) -> None:
    path = tmp_path / "holder"
    holder = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "moorage.adapters.world.holder",
        f"--socket={path}",
        env={**os.environ, "PYTHONPATH": "src"},
    )
    try:
        async with asyncio.timeout(10):
            while not path.exists():
                await asyncio.sleep(0.001)
        assert path.stat().st_mode & 0o777 == 0o600
        for _ in range(2):
            connection = Connection.to(path)
            world = HeldWorld(connection, "host-1")
            pid = await world.start("one", ["sleep", "1000"])
            assert await world.processes() == {"one": pid}
            connection.close()
    finally:
        holder.terminate()
        async with asyncio.timeout(10):
            assert await holder.wait() == 0
    assert not path.exists()
