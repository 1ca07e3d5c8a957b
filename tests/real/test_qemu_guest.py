"""Real QEMU guests, on a world of their own, with a tap but no network."""

import asyncio
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.real.guests import moorage_guest, said

from moorage.adapters.qemu.hypervisor import QemuHypervisor
from moorage.adapters.qemu.monitor import Monitor
from moorage.adapters.world.client import HeldWorld, HolderProcess
from moorage.domain.errors import Conflict, Invalid, NotFound
from moorage.domain.ids import PortId, ServerId, device_name
from moorage.seams.hypervisor import Guest, GuestImage, GuestState, Nic
from moorage.seams.world import ROOT, LinkChange

SERVER = ServerId("5e000000-0000-4000-8000-000000000001")
PORT = PortId("10000000-0000-4000-8000-000000000001")
NIC = Nic(PORT, "fa:16:3e:00:00:01", device_name(PORT), mtu=1450)
INIT_IS_UP = b"moorage-guest: init is up"
HELLO = b"hello from the boot sector\r\n"


def boot_sector(words: bytes) -> bytes:
    """A disk that writes `words` to the first serial port and halts. SeaBIOS reads none of less than a track."""
    code = bytes.fromhex("31c0 8ed8 fc be167c baf803 ac 84c0 7403 ee ebf8 f4 ebfd") + words + b"\0"
    return (code.ljust(510, b"\0") + b"\x55\xaa").ljust(1 << 20, b"\0")


@pytest.fixture
def runtime() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mq") as directory:  # pytest's own are too long for sockets
        yield Path(directory)


@pytest.fixture
async def world() -> AsyncIterator[HeldWorld]:
    async with HolderProcess() as holder:
        yield holder.world("host-1")


@asynccontextmanager
async def running(hypervisor: QemuHypervisor) -> AsyncIterator[QemuHypervisor]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(hypervisor.run())
        yield hypervisor
        task.cancel()
    await hypervisor.close()


@pytest.fixture
async def hypervisor(world: HeldWorld, tmp_path: Path, runtime: Path) -> AsyncIterator[QemuHypervisor]:
    async with running(QemuHypervisor(world, tmp_path, runtime)) as hypervisor:
        yield hypervisor


@pytest.fixture
async def guest() -> Guest:
    image = await moorage_guest()
    return Guest(SERVER, "web", vcpus=1, memory_mib=96, disk_gib=0, image=image, nics=(NIC,))


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "image, bootable"  # QEMU takes a comma for the end of a value
    path.write_bytes(boot_sector(HELLO))
    return path


def with_disk(guest: Guest, disk: Path, disk_format: str = "raw") -> Guest:
    return replace(guest, image=GuestImage(disk=disk, disk_format=disk_format))


async def test_a_held_guest_executes_nothing_until_it_is_resumed(
    hypervisor: QemuHypervisor, world: HeldWorld, guest: Guest
) -> None:
    await hypervisor.create_stopped(guest)
    assert NIC.device in await world.links(ROOT)
    assert await hypervisor.states() == {SERVER: GuestState.HELD}
    assert await hypervisor.console(SERVER) == b""
    began = time.monotonic()
    await hypervisor.resume(SERVER)
    took = time.monotonic() - began
    assert took < 0.5, f"resuming took {took:.3f} s"
    assert await hypervisor.states() == {SERVER: GuestState.RUNNING}
    await said(hypervisor, SERVER, INIT_IS_UP)


async def test_creating_again_keeps_a_held_guest_and_refuses_a_running_one(
    hypervisor: QemuHypervisor, world: HeldWorld, guest: Guest
) -> None:
    await hypervisor.create_stopped(guest)
    processes = await world.processes()
    await hypervisor.create_stopped(guest)
    assert await world.processes() == processes
    other = replace(NIC, device="tapother")
    await hypervisor.create_stopped(replace(guest, nics=(other,)))
    assert await world.processes() != processes
    assert await world.links(ROOT) & {NIC.device, "tapother"} == {"tapother"}
    await hypervisor.resume(SERVER)
    await hypervisor.resume(SERVER)
    with pytest.raises(Conflict):
        await hypervisor.create_stopped(guest)


async def test_a_guest_that_is_asked_politely_switches_itself_off(
    hypervisor: QemuHypervisor, world: HeldWorld, guest: Guest
) -> None:
    await hypervisor.create_stopped(guest)
    await hypervisor.resume(SERVER)
    await said(hypervisor, SERVER, INIT_IS_UP)
    began = time.monotonic()
    await hypervisor.power_off(SERVER, patience=8.0)
    assert time.monotonic() - began < 6.0, "it did not listen"
    assert b"moorage-guest: powering off" in await hypervisor.console(SERVER)
    assert await hypervisor.states() == {SERVER: GuestState.OFF}
    assert await world.processes() == {}
    with pytest.raises(NotFound):
        await hypervisor.resume(SERVER)
    with pytest.raises(Conflict):
        await hypervisor.reboot(SERVER)


@pytest.mark.timeout(60)  # two boots, and the second takes twice as long under TCG
async def test_a_rebooted_guest_starts_again_in_the_same_process(
    hypervisor: QemuHypervisor, world: HeldWorld, guest: Guest
) -> None:
    await hypervisor.create_stopped(guest)
    await hypervisor.resume(SERVER)
    await said(hypervisor, SERVER, INIT_IS_UP)
    processes = await world.processes()
    await hypervisor.reboot(SERVER, patience=8.0)
    assert b"moorage-guest: powering off" in await hypervisor.console(SERVER)
    assert await hypervisor.states() == {SERVER: GuestState.RUNNING}
    async with asyncio.timeout(30):
        while (await hypervisor.console(SERVER)).count(INIT_IS_UP) < 2:
            await asyncio.sleep(0.02)
    assert await world.processes() == processes


async def test_a_guest_that_switches_itself_off_is_reported(
    hypervisor: QemuHypervisor, guest: Guest, runtime: Path
) -> None:
    ended = aiter(hypervisor.ended())
    await hypervisor.create_stopped(guest)
    await hypervisor.resume(SERVER)
    await said(hypervisor, SERVER, INIT_IS_UP)
    with socket.socket(socket.AF_UNIX) as serial:
        serial.connect(str(runtime / f"{SERVER}.serial"))
        serial.send(b"\n")
        await said(hypervisor, SERVER, b"/ # ")  # a shell answers on the serial port
        serial.send(b"poweroff -f\n")
        async with asyncio.timeout(10):
            assert await anext(ended) == SERVER
    assert await hypervisor.states() == {SERVER: GuestState.OFF}


async def test_a_guest_whose_process_dies_is_reported_and_can_be_made_again(
    hypervisor: QemuHypervisor, world: HeldWorld, guest: Guest
) -> None:
    ended = aiter(hypervisor.ended())
    await hypervisor.create_stopped(guest)
    await hypervisor.resume(SERVER)
    [process] = await world.processes()
    await world.signal(process, signal.SIGKILL)
    async with asyncio.timeout(5):
        assert await anext(ended) == SERVER
    await hypervisor.create_stopped(guest)
    assert await hypervisor.states() == {SERVER: GuestState.HELD}


async def test_an_adapter_that_starts_anew_finds_its_guests(
    world: HeldWorld, tmp_path: Path, runtime: Path, guest: Guest
) -> None:
    async with running(QemuHypervisor(world, tmp_path, runtime)) as first:
        await first.create_stopped(guest)
    async with running(QemuHypervisor(world, tmp_path, runtime)) as second:
        assert await second.states() == {SERVER: GuestState.HELD}
        await second.resume(SERVER)
        [process] = await world.processes()
        ended = aiter(second.ended())
        await world.signal(process, signal.SIGKILL)
        async with asyncio.timeout(5):
            assert await anext(ended) == SERVER


async def test_a_guest_takes_what_dhcp_says_however_late_and_serves_its_page(
    hypervisor: QemuHypervisor, world: HeldWorld, guest: Guest, tmp_path: Path
) -> None:
    await hypervisor.create_stopped(guest)
    await hypervisor.resume(SERVER)
    await said(hypervisor, SERVER, INIT_IS_UP)
    # The host's end of the tap is the network.
    await world.move_link(NIC.device, ROOT, ROOT, LinkChange(addresses=("10.9.0.1/24",)))
    arguments = [
        *("--no-daemon", "--conf-file=/dev/null", "--port=0", "--user=", "--group=", "--bind-interfaces"),
        *(f"--interface={NIC.device}", f"--dhcp-leasefile={tmp_path / 'leases'}", "--dhcp-range=10.9.0.0,static"),
        *(f"--dhcp-host={NIC.mac},10.9.0.5,harbour", "--dhcp-option=121,0.0.0.0/0,10.9.0.1"),
    ]
    await world.start("dnsmasq", ["dnsmasq", *arguments], log=tmp_path / "dnsmasq.log")
    await said(hypervisor, SERVER, b"moorage-guest: address 10.9.0.5", within=5.0)
    with await world.socket(socket.AF_INET, socket.SOCK_STREAM) as browser:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            await loop.sock_connect(browser, ("10.9.0.5", 80))
            await loop.sock_sendall(browser, b"GET / HTTP/1.0\r\n\r\n")
            page = b""
            while more := await loop.sock_recv(browser, 4096):
                page += more
    assert b"hello from harbour" in page


async def test_a_guest_that_was_off_when_its_reboot_was_interrupted_is_found_off(
    world: HeldWorld, tmp_path: Path, runtime: Path, guest: Guest
) -> None:
    async with running(QemuHypervisor(world, tmp_path, runtime)) as first:
        await first.create_stopped(guest)
        await first.resume(SERVER)
        await said(first, SERVER, INIT_IS_UP)
    monitor = Monitor(runtime / f"{SERVER}.qmp")
    await monitor.execute("set-action", {"shutdown": "pause"})
    assert await monitor.execute_until("system_powerdown", "SHUTDOWN", patience=8.0, again=2.0)
    await monitor.close()
    async with running(QemuHypervisor(world, tmp_path, runtime)) as second:
        async with asyncio.timeout(5):
            assert await anext(aiter(second.ended())) == SERVER
        assert await second.states() == {SERVER: GuestState.OFF}
        assert await world.processes() == {}


async def test_nothing_is_left_of_a_destroyed_guest(
    hypervisor: QemuHypervisor, world: HeldWorld, guest: Guest, disk: Path, tmp_path: Path, runtime: Path
) -> None:
    links, files = await world.links(ROOT), set(tmp_path.iterdir())
    await hypervisor.create_stopped(with_disk(guest, disk))
    await hypervisor.resume(SERVER)
    for _ in range(2):
        await hypervisor.destroy(SERVER)
        assert (await world.links(ROOT), await world.processes()) == (links, {})
        assert (set(tmp_path.iterdir()), list(runtime.iterdir())) == (files, [])
    assert await hypervisor.states() == {}
    with pytest.raises(NotFound):
        await hypervisor.console(SERVER)


@pytest.mark.parametrize("disk_format", ["raw", "qcow2"])
async def test_a_guest_boots_from_its_own_disk_over_an_image(
    hypervisor: QemuHypervisor, guest: Guest, disk: Path, tmp_path: Path, disk_format: str
) -> None:
    if disk_format == "qcow2":
        disk, raw = tmp_path / "image.qcow2", disk
        convert = await asyncio.create_subprocess_exec("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, disk)
        assert await convert.wait() == 0
    before = disk.read_bytes()
    await hypervisor.create_stopped(with_disk(guest, disk, disk_format))
    await hypervisor.resume(SERVER)
    await said(hypervisor, SERVER, HELLO)
    await hypervisor.power_off(SERVER)
    assert disk.read_bytes() == before


async def test_a_guest_that_can_never_start_is_invalid_in_qemus_own_words(
    hypervisor: QemuHypervisor, guest: Guest, disk: Path, tmp_path: Path
) -> None:
    with pytest.raises(Invalid, match=f"^creating guest {SERVER}: Could not open .*: Image is not in qcow2 format$"):
        await hypervisor.create_stopped(with_disk(guest, disk, "qcow2"))
    missing = tmp_path / "missing"
    with pytest.raises(Invalid, match="could not open kernel file"):
        await hypervisor.create_stopped(replace(guest, image=GuestImage(kernel=missing)))
    await hypervisor.destroy(SERVER)  # its disk is over the first image
    with pytest.raises(Invalid, match="No such file or directory"):
        await hypervisor.create_stopped(with_disk(guest, missing))
    await hypervisor.destroy(SERVER)
    assert await hypervisor.states() == {}


async def test_an_image_that_reaches_for_other_files_is_refused(
    hypervisor: QemuHypervisor, guest: Guest, disk: Path, tmp_path: Path
) -> None:
    for number, options in enumerate((["-b", str(disk), "-F", "raw"], ["-o", f"data_file={tmp_path / 'data'}"])):
        evil = tmp_path / f"evil-{number}"
        create = await asyncio.create_subprocess_exec("qemu-img", "create", "-qf", "qcow2", *options, evil, "1M")
        assert await create.wait() == 0
        with pytest.raises(Invalid, match="refers to another file"):
            await hypervisor.create_stopped(with_disk(guest, evil, "qcow2"))


async def test_qemu_gives_up_root_for_a_user_of_its_own(
    world: HeldWorld, tmp_path: Path, runtime: Path, guest: Guest, disk: Path
) -> None:
    async with running(QemuHypervisor(world, tmp_path, runtime, uids=range(64_000, 64_002))) as hypervisor:
        await hypervisor.create_stopped(with_disk(guest, disk))
        await hypervisor.resume(SERVER)
        await said(hypervisor, SERVER, HELLO)
        mine = [path for path in Path("/proc").glob("[0-9]*") if SERVER.encode() in _command_line(path)]
        assert [path.stat().st_uid for path in mine] == [64_000]


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:  # it has ended
        return b""
