"""The holder of a machine lends no power over it: what a client starts is the client's own, without a privilege."""

import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.machine import AGENT, COMPUTE, GROUP, STRANGER, Machine, a_machine, acting

from moorage.adapters.world.client import HeldWorld
from moorage.adapters.world.connection import Connection
from moorage.domain.errors import Invalid, Unavailable
from moorage.seams.world import ROOT, LinkChange

TAP = "tap0123abcd-ef"
STATUS = 'grep -E "^(Uid|Gid|Groups|CapEff|CapBnd|NoNewPrivs)" /proc/self/status; umask; env | sort'


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    async with a_machine() as made:
        await made.start_holder()
        yield made


@pytest.fixture
async def world(machine: Machine) -> AsyncIterator[HeldWorld]:
    async with machine.as_user(COMPUTE) as found:
        yield found


def own_folder(machine: Machine, uid: int) -> Path:
    folder = machine.place / f"of-{uid}"
    folder.mkdir(mode=0o700, exist_ok=True)
    os.chown(folder, uid, uid)
    return folder


async def said(world: HeldWorld, folder: Path, program: str, *, namespace: str = ROOT) -> str:
    log = folder / "words"
    await world.start("says", ["sh", "-c", program], namespace=namespace, log=log, environment={"LD_PRELOAD": ""})
    assert await world.wait("says") == 0, log.read_text()
    return log.read_text()


async def test_what_is_started_is_its_clients_and_has_no_privilege(machine: Machine, world: HeldWorld) -> None:
    words = await said(world, own_folder(machine, COMPUTE), STATUS)
    assert f"Uid:\t{COMPUTE}\t{COMPUTE}" in words
    assert f"Groups:\t{GROUP}" in words
    assert "CapEff:\t0000000000000000" in words
    assert "CapBnd:\t0000000000000000" in words
    assert "NoNewPrivs:\t1" in words
    assert "\n0007\n" in words
    assert (own_folder(machine, COMPUTE) / "words").stat().st_uid == COMPUTE


async def test_in_a_namespace_of_its_own_it_may_do_with_the_network_as_it_likes(
    machine: Machine, world: HeldWorld
) -> None:
    await world.make_namespace("guest-1")
    act = f"ip link add dummy0 type veth peer name dummy1 && ip addr add 10.0.0.1/24 dev dummy0; {STATUS}"
    words = await said(world, own_folder(machine, COMPUTE), act, namespace="guest-1")
    assert f"Uid:\t{COMPUTE}" in words
    assert "CapEff:\t0000000000003400" in words  # net_admin, net_raw, net_bind_service
    assert {"dummy0", "dummy1"} <= await world.links("guest-1")
    assert not {"dummy0", "dummy1"} & await world.links(ROOT)


async def test_the_machines_own_links_are_left_alone(machine: Machine, world: HeldWorld) -> None:
    await machine.outer.make_tap("eth0")
    await world.make_namespace("guest-1")
    await world.make_tap(TAP)
    for refused in (
        world.remove_link("eth0"),
        world.remove_link("lo"),
        world.move_link("eth0", ROOT, "guest-1", LinkChange("eth0")),
        world.move_link(TAP, ROOT, ROOT, LinkChange("eth1")),
        world.make_tap("eth1"),
        world.make_cable("eth1", "guest-1", "eth0", mac="fa:16:3e:00:00:01"),
        world.connect("uplink", "host-2", "uplink"),
        world.socket(socket.AF_PACKET, socket.SOCK_RAW),
    ):
        with pytest.raises(Invalid):
            await refused
    assert {"eth0", "lo", TAP} <= await world.links(ROOT)
    await world.make_cable("tap0123abcd-00", "guest-1", "eth0", mac="fa:16:3e:00:00:01")
    assert "eth0" in await world.links("guest-1")
    await world.remove_link(TAP)
    assert TAP not in await world.links(ROOT)


async def test_a_tap_may_be_opened_by_its_client_alone(machine: Machine, world: HeldWorld) -> None:
    await world.make_tap(TAP)
    opens = (
        "import fcntl, os, struct\n"
        "tun = os.open('/dev/net/tun', os.O_RDWR)\n"
        f"fcntl.ioctl(tun, 0x400454CA, struct.pack('16sH22x', b'{TAP}', 0x1002))"
    )
    log = own_folder(machine, COMPUTE) / "words"
    await world.start("opens", ["python3", "-c", opens], log=log)
    assert await world.wait("opens") == 0, log.read_text()
    async with machine.as_user(AGENT) as other:
        await other.start("opens", ["python3", "-c", opens])
        assert await other.wait("opens") != 0


async def test_a_log_is_opened_as_the_client_would(machine: Machine, world: HeldWorld) -> None:
    theirs = own_folder(machine, AGENT) / "log"
    roots = machine.place / "roots"
    roots.touch(mode=0o600)
    link = own_folder(machine, COMPUTE) / "link"
    link.symlink_to(roots)
    for log in (theirs, roots, link):
        with pytest.raises(Invalid):
            await world.start("writes", ["echo", "words"], log=log)
    assert roots.read_text() == ""


async def test_libraries_that_a_client_names_are_loaded_by_nobody_with_a_privilege(
    machine: Machine, world: HeldWorld
) -> None:
    trace = {"LD_DEBUG": "libs", "LD_DEBUG_OUTPUT": str(own_folder(machine, COMPUTE) / "trace")}
    await world.start("traced", ["true"], environment=trace)
    assert await world.wait("traced") == 0
    [one] = own_folder(machine, COMPUTE).glob("trace.*")
    assert one.stat().st_uid == COMPUTE


async def test_a_machine_is_one_host(machine: Machine, world: HeldWorld) -> None:
    await world.links(ROOT)
    connection = Connection.to(machine.socket)
    try:
        with pytest.raises(Invalid, match="this machine is host host-1"):
            await HeldWorld(connection, "host-2").links(ROOT)
    finally:
        connection.close()


async def test_who_is_not_in_the_group_does_not_come_in(machine: Machine) -> None:
    with acting(STRANGER), pytest.raises(Unavailable, match="Permission denied"):
        Connection.to(machine.socket)


async def test_a_program_that_is_not_there_is_told_at_once(world: HeldWorld) -> None:
    with pytest.raises(Invalid, match="no such program"):
        await world.start("nothing", ["moorage-no-such-program"])


async def test_all_that_runs_ends_with_the_holder(machine: Machine, world: HeldWorld) -> None:
    await world.make_namespace("guest-1")
    await world.start("sleeper", ["sleep", "1000.25"], namespace="guest-1")
    await machine.outer.start("look", ["sh", "-c", "until pgrep -u 61001 -f 'sleep 1000.25'; do sleep 0.01; done"])
    assert await machine.outer.wait("look") == 0
    await machine.outer.stop("holder")
    await machine.outer.start("look-again", ["sh", "-c", "pgrep -u 61001 -f 'sleep 1000.25'"])
    assert await machine.outer.wait("look-again") == 1
