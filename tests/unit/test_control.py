"""The control socket: what is asked of it, what it gives and refuses, and what a terminal looks like afterwards."""

import asyncio
import os
import random
import signal
import socket
import stat
import termios
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from moorage.app import control
from moorage.app.console import converse
from moorage.app.control import Control, listening
from moorage.app.control_words import OpenConsole, OpenPort, control_socket, short_path
from moorage.app.forwarding import forwarding
from moorage.app.reaching import ask
from moorage.domain.errors import Conflict, Invalid, NotFound, Unavailable
from moorage.domain.ids import ServerId

SERVER = "4eb2d30f-cf1a-418e-867a-1fcb8a531f86"
OTHER = "5eb2d30f-cf1a-418e-867a-1fcb8a531f86"


class EchoDoors:
    """Guests that say back what they are told, on every port; port 1 is closed and port 2 silent."""

    def __init__(self) -> None:
        self.theirs: list[socket.socket] = []

    async def to_port(self, server: ServerId, port: int) -> socket.socket:
        if server != SERVER:
            raise NotFound(f"there is no server {server}")
        if port == 1:
            raise Unavailable("10.0.0.3: Connection refused")
        if port == 2:
            await asyncio.Event().wait()
        ours, theirs = socket.socketpair()
        self.theirs.append(theirs)
        return ours

    async def to_console(self, server: ServerId) -> socket.socket:
        if server != SERVER:
            raise Invalid("a simulated guest has no serial console")
        return await self.to_port(server, 3)


@asynccontextmanager
async def a_cloud(directory: Path) -> AsyncIterator[tuple[Path, EchoDoors]]:
    door, doors = control_socket(directory), EchoDoors()
    with listening(door) as listener:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(Control(listener, doors).run())
            yield door, doors
            running.cancel()
    for theirs in doors.theirs:
        theirs.close()


async def test_a_connection_is_given_and_refusals_keep_their_class(tmp_path: Path) -> None:
    async with a_cloud(tmp_path) as (door, doors):
        way = await ask(door, OpenPort(server=SERVER, port=80))
        way.stream.setblocking(True)
        way.stream.sendall(b"hello")
        assert doors.theirs[0].recv(9) == b"hello"
        way.close()
        with pytest.raises(NotFound, match="there is no server"):
            await ask(door, OpenPort(server=OTHER, port=80))
        with pytest.raises(Unavailable, match="Connection refused"):
            await ask(door, OpenPort(server=SERVER, port=1))
        with pytest.raises(Invalid, match="simulated"):
            await ask(door, OpenConsole(server=OTHER))


async def test_only_the_owner_may_open_the_socket_and_its_path_may_be_long(tmp_path: Path) -> None:
    place = tmp_path / ("x" * 120)
    place.mkdir()
    async with a_cloud(place) as (door, _):
        assert stat.S_IMODE(door.stat().st_mode) == 0o600
        (await ask(door, OpenPort(server=SERVER, port=80))).close()
    assert not door.exists()
    with pytest.raises(NotFound, match="moorage up"):
        await ask(door, OpenPort(server=SERVER, port=80))
    with pytest.raises(NotFound, match="moorage up"):
        await ask(tmp_path / "nowhere" / "control", OpenPort(server=SERVER, port=80))


async def test_a_killed_clouds_socket_is_replaced(tmp_path: Path) -> None:
    async with a_cloud(tmp_path) as (door, _):
        left = tmp_path / "left"
        os.link(door, left)
    left.rename(door)
    with pytest.raises(NotFound):
        await ask(door, OpenPort(server=SERVER, port=80))
    async with a_cloud(tmp_path):
        (await ask(door, OpenPort(server=SERVER, port=80))).close()


async def test_a_console_is_one_persons_until_they_hang_up(tmp_path: Path) -> None:
    async with a_cloud(tmp_path) as (door, _):
        way = await ask(door, OpenConsole(server=SERVER))
        with pytest.raises(Conflict, match="somebody is at this console"):
            await ask(door, OpenConsole(server=SERVER))
        way.close()
        async with asyncio.timeout(2):
            while True:
                try:
                    (await ask(door, OpenConsole(server=SERVER))).close()
                    break
                except Conflict:
                    await asyncio.sleep(0.005)


async def test_who_says_nothing_or_waits_for_ever_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "ASKED_WITHIN", 0.1)
    monkeypatch.setattr(control, "OPEN_WITHIN", 0.1)
    async with a_cloud(tmp_path) as (door, _):
        silent = [connected(tmp_path) for _ in range(control.AT_ONCE)]
        (await ask(door, OpenPort(server=SERVER, port=80))).close()
        with pytest.raises(Unavailable, match="no answer within"):
            await ask(door, OpenPort(server=SERVER, port=2))
        for one in silent:
            one.close()


async def test_nonsense_is_refused_in_words_and_ends_nothing(tmp_path: Path) -> None:
    chance = random.Random(3)
    good = msgspec.msgpack.encode(OpenPort(server=SERVER, port=80))
    async with a_cloud(tmp_path) as (door, _):
        for _ in range(200):
            nonsense = bytearray(good)
            for _ in range(chance.randint(1, 8)):
                nonsense[chance.randrange(len(nonsense))] = chance.randrange(256)
            with connected(tmp_path) as connection:
                await asyncio.get_running_loop().sock_sendall(connection, bytes(nonsense))
                assert await asyncio.get_running_loop().sock_recv(connection, 4096)
        (await ask(door, OpenPort(server=SERVER, port=80))).close()


def connected(directory: Path) -> socket.socket:
    opened = os.open(directory, os.O_PATH)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(short_path(opened))
    connection.setblocking(False)
    os.close(opened)
    return connection


async def test_forwarding_carries_both_ways_and_the_end_of_each(tmp_path: Path) -> None:
    async with (
        a_cloud(tmp_path) as (door, doors),
        forwarding(door, SERVER, 80, ("127.0.0.1", 0), print) as (address, port),
    ):
        reader, writer = await asyncio.open_connection(address, port)
        writer.write(b"x" * 1_000_000)
        writer.write_eof()
        while not doors.theirs:
            await asyncio.sleep(0.001)
        guest_reader, guest_writer = await asyncio.open_connection(sock=doors.theirs[0].dup())
        assert len(await guest_reader.read()) == 1_000_000
        guest_writer.write(b"y" * 1_000_000)
        guest_writer.close()
        doors.theirs[0].close()
        assert len(await reader.read()) == 1_000_000
        writer.close()


async def test_a_connection_that_cannot_be_carried_is_closed_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    async with (
        a_cloud(tmp_path) as (door, _),
        forwarding(door, SERVER, 1, ("127.0.0.1", 0), said.append) as (address, port),
    ):
        reader, writer = await asyncio.open_connection(address, port)
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.close()
    assert said == ["10.0.0.3: Connection refused"]


async def test_an_address_in_use_is_a_conflict(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Conflict, match="cannot listen"):
        async with forwarding(tmp_path / "control", SERVER, 80, taken.getsockname(), print):
            raise AssertionError("it listens")


def test_a_script_types_its_lines_and_ends_when_the_guest_is_quiet(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    script = tmp_path / "lines"
    script.write_bytes(b"uname\n")
    with ours, theirs, script.open("rb") as source, (tmp_path / "said").open("wb") as target:
        theirs.sendall(b"Linux\r\n")
        assert converse(ours, source.fileno(), target.fileno(), quiet_after=0.05) == "quiet"
        assert theirs.recv(99) == b"uname\n"
    assert (tmp_path / "said").read_bytes() == b"Linux\r\n"


def test_a_guest_that_switches_off_ends_the_talk(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    theirs.close()
    with ours:
        assert converse(ours, read, write) == "closed"
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("ending", ["escape", "signal", "closed"])
def test_the_terminal_is_as_it_was_whatever_ends_the_talk(ending: str) -> None:
    keyboard, terminal = os.openpty()
    before = termios.tcgetattr(terminal)
    ours, theirs = socket.socketpair()

    def user() -> None:
        while termios.tcgetattr(terminal)[3] == before[3]:
            time.sleep(0.001)
        os.write(keyboard, b"\x03ls\r")  # Ctrl-C is the guest's
        assert theirs.recv(99)[:1] == b"\x03"
        match ending:
            case "escape":
                os.write(keyboard, b"\x1d")
            case "signal":
                os.kill(os.getpid(), signal.SIGTERM)
            case _:
                theirs.close()

    typing = threading.Thread(target=user)
    with ours, theirs:
        typing.start()
        if ending == "signal":
            with pytest.raises(SystemExit):
                converse(ours, terminal, terminal)
        else:
            assert converse(ours, terminal, terminal) in ("escaped", "closed")
        typing.join()
    assert termios.tcgetattr(terminal) == before
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    os.close(keyboard)
    os.close(terminal)
