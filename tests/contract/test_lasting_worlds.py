"""Worlds that outlive whoever made them: taken over, judged, refused to strangers, ended without a trace."""

import asyncio
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from moorage.adapters.world.living import find_living, start_living
from moorage.app import processes
from moorage.app.config import CloudSettings, HostKind
from moorage.app.runtime import place_of
from moorage.app.worlds import NOTE, SOCKET, LastingWorlds, end_world, found_world
from moorage.domain.errors import Conflict, Unavailable

SOMEBODY_ELSE = 54321


class Killed(Exception):
    """What a world that was used is left with."""


@pytest.fixture
async def settings() -> AsyncIterator[CloudSettings]:
    with tempfile.TemporaryDirectory(prefix="m", dir="/tmp") as directory:
        yield CloudSettings(state_dir=Path(directory), host_kind=HostKind.NETNS)
        place = place_of(Path(directory))
        if (holder := await find_living(place / SOCKET)) is not None:
            await end_world(place, holder, ())
        await nothing_is_left(Path(directory))


async def nothing_is_left(directory: Path) -> None:
    """Soon: whoever was killed while it was being made needs a moment to be gone."""
    async with asyncio.timeout(5):
        while processes.mentioning(directory) or place_of(directory).exists():
            await asyncio.sleep(0.01)


async def used(settings: CloudSettings) -> tuple[str, int, int]:
    """The id of a world, its holder's pid, and that of a process which is kept there; it is then left alone."""
    found = None
    with suppress(Killed):
        async with LastingWorlds(settings, lambda _: None) as worlds:
            found = worlds.id, worlds.holder.pid, await worlds.world("host-1").start("guest", ["sleep", "1000"])
            worlds.is_used = True
            raise Killed
    assert found is not None
    return found


async def test_the_next_takes_it_over_as_it_is(settings: CloudSettings) -> None:
    assert await used(settings) == await used(settings)


async def test_an_orderly_end_leaves_nothing(settings: CloudSettings) -> None:
    await used(settings)
    async with LastingWorlds(settings, lambda _: None):
        assert await found_world(settings.state_dir) is not None
    assert await found_world(settings.state_dir) is None
    assert not place_of(settings.state_dir).exists()


async def test_one_that_was_not_used_yet_ends_with_the_failure(settings: CloudSettings) -> None:
    with pytest.raises(Killed):
        async with LastingWorlds(settings, lambda _: None):
            raise Killed
    assert await found_world(settings.state_dir) is None


def note_of_another(settings: CloudSettings, **changes: object) -> None:
    path = place_of(settings.state_dir) / NOTE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"version": "0.0.1"}, "in a world of Moorage 0.0.1"),
        ({"protocol": 0}, "`moorage down` switches them off"),
        (
            {"hosts": 2},
            "still run on 2 netns hosts, not on 1 netns host: start it as before (--host-kind netns --hosts 2)",
        ),
        ({"host_kind": "qemu"}, "(--host-kind qemu --hosts 1), or switch them off first (`moorage down`)"),
    ],
)
async def test_one_that_does_not_fit_is_refused_and_left_alone(
    settings: CloudSettings, changes: dict[str, object], told: str
) -> None:
    _, holder, _ = await used(settings)
    note_of_another(settings, **changes)
    with pytest.raises(Conflict) as refused:
        await used(settings)
    assert told in refused.value.message
    assert processes.started(holder) is not None


@pytest.mark.parametrize("what", ["its end was cut off", "the machine has ended"])
async def test_what_is_stale_is_cleared_and_begun_anew(settings: CloudSettings, what: str) -> None:
    world, holder, _ = await used(settings)
    if what == "its end was cut off":
        (place_of(settings.state_dir) / NOTE).unlink()
    else:
        os.kill(holder, signal.SIGKILL)
        await has_ended(holder)
    again, another, _ = await used(settings)
    assert again != world
    assert another != holder
    assert processes.started(holder) is None


async def test_its_end_is_noticed(settings: CloudSettings) -> None:
    async with LastingWorlds(settings, lambda _: None) as worlds, asyncio.timeout(5), asyncio.TaskGroup() as group:
        watch = group.create_task(_told_when_gone(worlds.gone))
        os.kill(worlds.holder.pid, signal.SIGKILL)
        assert "`moorage up` starts them again" in await watch


async def _told_when_gone(gone: Callable[[], object]) -> str:
    try:
        await gone()  # type: ignore[misc]
    except Unavailable as error:
        return error.message
    raise AssertionError("it is not gone")


async def test_nobody_else_comes_in(settings: CloudSettings) -> None:
    """Even where the files would let them."""
    await used(settings)
    place = place_of(settings.state_dir)
    assert place.stat().st_mode & 0o777 == 0o700
    assert (place / SOCKET).stat().st_mode & 0o777 == 0o600
    for path in (settings.state_dir, place, place / SOCKET):
        path.chmod(0o777)
    source = f"""import socket
client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
client.connect({str(place / SOCKET)!r})
print(client.recv(1))"""
    assert await asyncio.to_thread(said_by_somebody_else, source) == "b''\n"
    assert await find_living(place / SOCKET) is not None


async def test_nobody_elses_is_taken_over(settings: CloudSettings) -> None:
    place = place_of(settings.state_dir)
    place.mkdir()
    settings.state_dir.chmod(0o755)
    place.chmod(0o777)
    source = f"""import os, socket, time
door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
door.bind({str(place / SOCKET)!r})
door.listen(1)
print("listening", flush=True)
time.sleep(60)"""
    with subprocess.Popen(somebody_else(source), stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert await asyncio.to_thread(running.stdout.readline) == b"listening\n"
        assert await find_living(place / SOCKET) is None
        running.kill()
    (place / SOCKET).unlink()
    place.rmdir()


def said_by_somebody_else(source: str) -> str:
    return subprocess.run(somebody_else(source), capture_output=True, text=True, timeout=10, check=True).stdout


def somebody_else(source: str) -> list[str]:
    return ["setpriv", "--reuid", str(SOMEBODY_ELSE), "--clear-groups", "/usr/bin/python3", "-c", source]


async def test_one_that_nobody_can_find_any_more_ends(settings: CloudSettings) -> None:
    _, holder, _ = await used(settings)
    (place_of(settings.state_dir) / SOCKET).unlink()
    await has_ended(holder)
    await used(settings)


async def has_ended(pid: int) -> None:
    async with asyncio.timeout(10):
        while processes.started(pid) is not None:
            await asyncio.sleep(0.001)


async def test_a_directory_has_one_holder(settings: CloudSettings) -> None:
    await used(settings)
    with pytest.raises(Unavailable, match="there is a holder at"):
        await start_living(place_of(settings.state_dir) / SOCKET, settings.state_dir / "log")


@pytest.mark.parametrize("after", [0.0, 0.05, 0.1, 0.15, 0.2, 0.3])
async def test_one_that_is_interrupted_while_it_begins_leaves_nothing(settings: CloudSettings, after: float) -> None:
    try:
        async with asyncio.timeout(after):
            await used(settings)
    except TimeoutError:
        assert await found_world(settings.state_dir) is None
        await nothing_is_left(settings.state_dir)
