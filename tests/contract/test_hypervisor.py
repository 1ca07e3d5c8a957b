"""The Hypervisor seam: every adapter through one suite."""

import asyncio
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.real.guests import moorage_guest

from moorage.adapters.memory.dhcp import MemoryDhcp
from moorage.adapters.memory.hypervisor import MemoryHypervisor
from moorage.adapters.memory.switch import MemorySwitch
from moorage.adapters.netns.hypervisor import NetnsHypervisor, guest_name
from moorage.adapters.qemu.endings import process_name
from moorage.adapters.qemu.hypervisor import QemuHypervisor
from moorage.adapters.world.client import HolderProcess
from moorage.domain.errors import Conflict, Invalid, NotFound
from moorage.domain.ids import PortId, ServerId
from moorage.seams.hypervisor import Guest, GuestImage, GuestState, Hypervisor, Nic
from moorage.seams.world import ROOT

ADAPTERS = ["memory", "netns", "qemu"]

WEB = ServerId("aaaaaaaa-0000-4000-8000-000000000001")
GUEST = Guest(
    WEB,
    "web <1>",
    vcpus=1,
    memory_mib=128,
    disk_gib=0,
    image=GuestImage(),
    nics=(
        Nic(PortId("11111111-0000-4000-8000-000000000001"), "fa:16:3e:00:00:01", "tap11111111-00", 1450),
        Nic(PortId("22222222-0000-4000-8000-000000000001"), "fa:16:3e:00:00:02", "tap22222222-00"),
    ),
)


@dataclass(frozen=True)
class Subject:
    hypervisor: Hypervisor
    plug: Callable[[Guest], Awaitable[None]]  # what the switch does where it makes the devices
    devices: Callable[[], Awaitable[frozenset[str]]] | None  # that are with the host, for kinds that have real ones
    dies: Callable[[ServerId], Awaitable[None]]
    again: Callable[[], Awaitable[Hypervisor]]  # a new instance, as after a restart
    guest: Guest = GUEST
    falls_silent: Callable[[ServerId], Awaitable[None]] | None = None  # for kinds whose guests are asked


@pytest.fixture(params=ADAPTERS)
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    if request.param == "qemu":
        async with qemu(tmp_path) as subject:
            yield subject
        return
    if request.param == "memory":
        simulated = MemoryHypervisor(MemorySwitch(), MemoryDhcp())

        async def nothing(_guest: Guest) -> None:
            pass

        async def dies(server: ServerId) -> None:
            simulated.dies(server)

        async def again() -> Hypervisor:
            return simulated

        async def falls_silent(server: ServerId) -> None:
            simulated.silent.add(server)

        yield Subject(simulated, nothing, None, dies, again, falls_silent=falls_silent)
        return
    async with HolderProcess() as holder, asyncio.TaskGroup() as group:
        world = holder.world("host-1")
        hypervisor = NetnsHypervisor(world, tmp_path / "guests")
        running = group.create_task(hypervisor.run())

        async def plug(guest: Guest) -> None:
            for nic in guest.nics:
                await world.make_tap(nic.device)

        async def kill(server: ServerId) -> None:
            await world.signal(guest_name(server), signal.SIGKILL)

        async def another() -> Hypervisor:
            return NetnsHypervisor(world, tmp_path / "guests")

        yield Subject(hypervisor, plug, lambda: world.links(ROOT), kill, another)
        running.cancel()


@asynccontextmanager
async def qemu(state: Path) -> AsyncIterator[Subject]:
    image = await moorage_guest()
    # pytest's directories are too long for sockets
    with tempfile.TemporaryDirectory(prefix="mq") as runtime:
        async with HolderProcess() as holder, asyncio.TaskGroup() as group:
            world = holder.world("host-1")
            instances = [QemuHypervisor(world, state, Path(runtime))]
            running = group.create_task(instances[0].run())

            async def nothing(_guest: Guest) -> None:
                pass

            async def kill(server: ServerId) -> None:
                await world.signal(process_name(server), signal.SIGKILL)

            async def again() -> Hypervisor:
                await instances[-1].close()
                instances.append(QemuHypervisor(world, state, Path(runtime)))
                return instances[-1]

            async def freeze(server: ServerId) -> None:
                await world.signal(process_name(server), signal.SIGSTOP)

            guest = replace(GUEST, image=image)
            yield Subject(instances[0], nothing, lambda: world.links(ROOT), kill, again, guest, freeze)
            running.cancel()
            for instance in instances:
                await instance.close()


OTHER = ServerId("bbbbbbbb-0000-4000-8000-000000000002")


async def state(subject: Subject) -> GuestState | None:
    found = await subject.hypervisor.state(WEB)
    assert (await subject.hypervisor.states()).get(WEB) is found
    return found


async def boot(subject: Subject, guest: Guest | None = None) -> None:
    guest = guest or subject.guest
    await subject.hypervisor.create_stopped(guest)
    await subject.plug(guest)
    await subject.hypervisor.resume(guest.server)


async def test_a_guest_is_held_until_it_is_resumed(subject: Subject) -> None:
    await subject.hypervisor.create_stopped(subject.guest)
    await subject.hypervisor.create_stopped(subject.guest)
    await subject.plug(subject.guest)
    assert await state(subject) is GuestState.HELD
    assert await subject.hypervisor.console(WEB) == b""
    await subject.hypervisor.resume(WEB)
    assert await state(subject) is GuestState.RUNNING
    await subject.hypervisor.resume(WEB)
    with pytest.raises(Conflict):
        await subject.hypervisor.create_stopped(subject.guest)
    async with asyncio.timeout(15):
        while b"moorage-guest:" not in await subject.hypervisor.console(WEB):
            await asyncio.sleep(0.001)


async def test_a_held_guest_with_other_nics_is_made_anew(subject: Subject) -> None:
    await subject.hypervisor.create_stopped(subject.guest)
    fewer = replace(subject.guest, nics=subject.guest.nics[:1])
    await boot(subject, fewer)
    assert await state(subject) is GuestState.RUNNING


async def test_off_and_on_again(subject: Subject) -> None:
    for _ in range(2):
        await boot(subject)
        await subject.hypervisor.power_off(WEB)
        await subject.hypervisor.power_off(WEB, patience=1.0)
        assert await state(subject) is GuestState.OFF
        if subject.devices is not None:
            assert {nic.device for nic in subject.guest.nics} <= await subject.devices()
        assert isinstance(await subject.hypervisor.console(WEB), bytes)
        with pytest.raises(NotFound):
            await subject.hypervisor.resume(WEB)
        with pytest.raises(Conflict):
            await subject.hypervisor.reboot(WEB)


async def test_a_held_guest_can_be_switched_off(subject: Subject) -> None:
    await subject.hypervisor.create_stopped(subject.guest)
    await subject.hypervisor.power_off(WEB)
    assert await state(subject) is GuestState.OFF


async def test_a_reboot_is_no_end(subject: Subject) -> None:
    await boot(subject)
    await subject.hypervisor.reboot(WEB)
    assert await state(subject) is GuestState.RUNNING
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await anext(aiter(subject.hypervisor.ended()))


async def test_a_paused_guest_goes_on_only_when_it_is_unpaused(subject: Subject) -> None:
    with pytest.raises(NotFound):
        await subject.hypervisor.pause(WEB)
    await subject.hypervisor.create_stopped(subject.guest)
    for refused in (subject.hypervisor.pause, subject.hypervisor.unpause):
        with pytest.raises(Conflict):
            await refused(WEB)
    await boot(subject)
    for _ in range(2):
        await subject.hypervisor.pause(WEB)
        assert await state(subject) is GuestState.PAUSED
    await subject.hypervisor.resume(WEB)
    with pytest.raises(Conflict):
        await subject.hypervisor.reboot(WEB)
    with pytest.raises(Conflict):
        await subject.hypervisor.create_stopped(subject.guest)
    for _ in range(2):
        await subject.hypervisor.unpause(WEB)
        assert await state(subject) is GuestState.RUNNING
    await subject.hypervisor.pause(WEB)
    again = await subject.again()
    assert await again.states() == {WEB: GuestState.PAUSED}
    await again.power_off(WEB, patience=1.0)
    assert await again.states() == {WEB: GuestState.OFF}
    with pytest.raises(Conflict):
        await again.unpause(WEB)


async def test_a_paused_guest_that_dies_is_named(subject: Subject) -> None:
    await boot(subject)
    await subject.hypervisor.pause(WEB)
    ended = aiter(subject.hypervisor.ended())
    await subject.dies(WEB)
    async with asyncio.timeout(5):
        assert await anext(ended) == WEB
    assert await state(subject) is GuestState.OFF


async def test_a_serial_console_is_opened_or_refused_in_words(subject: Subject, request: pytest.FixtureRequest) -> None:
    with pytest.raises(NotFound):
        await subject.hypervisor.open_console(WEB)
    await boot(subject)
    if "qemu" not in request.node.callspec.id:
        with pytest.raises(Invalid, match="no serial console"):
            await subject.hypervisor.open_console(WEB)
        return
    with await subject.hypervisor.open_console(WEB) as stream:
        assert stream.getpeername().endswith(f"{WEB}.serial")
    await subject.hypervisor.power_off(WEB)
    with pytest.raises(Conflict):
        await subject.hypervisor.open_console(WEB)


async def test_destroying_leaves_nothing(subject: Subject) -> None:
    await boot(subject)
    for _ in range(2):
        await subject.hypervisor.destroy(WEB)
        assert await subject.hypervisor.states() == {}
        assert await subject.hypervisor.state(WEB) is None
    await subject.hypervisor.power_off(WEB)
    for call in (subject.hypervisor.resume, subject.hypervisor.reboot, subject.hypervisor.console):
        with pytest.raises(NotFound):
            await call(WEB)


async def test_a_guest_that_dies_is_named_and_off(subject: Subject) -> None:
    await boot(subject)
    ended = aiter(subject.hypervisor.ended())
    await subject.dies(WEB)
    async with asyncio.timeout(5):
        assert await anext(ended) == WEB
    assert await state(subject) is GuestState.OFF
    await boot(subject)
    assert await state(subject) is GuestState.RUNNING
    await subject.hypervisor.power_off(WEB)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await anext(ended)


async def test_a_new_instance_finds_the_guests(subject: Subject) -> None:
    await subject.hypervisor.create_stopped(subject.guest)
    assert await (await subject.again()).states() == {WEB: GuestState.HELD}
    await (await subject.again()).create_stopped(subject.guest)
    await subject.plug(subject.guest)
    await (await subject.again()).resume(WEB)
    assert await (await subject.again()).states() == {WEB: GuestState.RUNNING}
    await (await subject.again()).power_off(WEB)
    assert await (await subject.again()).states() == {WEB: GuestState.OFF}


@pytest.mark.parametrize("subject", ["memory", "qemu"], indirect=True)  # netns guests are not asked
async def test_a_guest_that_is_silent_hides_no_other(subject: Subject) -> None:
    assert subject.falls_silent is not None
    hypervisor = subject.hypervisor
    nic = Nic(PortId("33333333-0000-4000-8000-000000000001"), "fa:16:3e:00:00:03", "tap33333333-00")
    await boot(subject)
    await hypervisor.create_stopped(replace(subject.guest, server=OTHER, nics=(nic,)))
    await subject.falls_silent(WEB)
    loop = asyncio.get_running_loop()
    began = loop.time()
    waiting = asyncio.gather(hypervisor.states(), hypervisor.state(WEB))
    assert await hypervisor.state(OTHER) is GuestState.HELD
    assert loop.time() - began < 1.0, "it waited for the silent one"
    listed, looked = await waiting
    assert listed == {WEB: GuestState.UNKNOWN, OTHER: GuestState.HELD}
    assert looked is GuestState.UNKNOWN
    await hypervisor.destroy(WEB)
    assert await hypervisor.states() == {OTHER: GuestState.HELD}
    with pytest.raises(NotFound):
        await hypervisor.resume(WEB)
