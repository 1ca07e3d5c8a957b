"""An image's way from the image service to a host's disk, in one process: at the reader's pace, piece by piece."""

import asyncio
import os
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator
from hashlib import sha512
from pathlib import Path
from typing import Any

import pytest

from moorage.adapters.database.images import IMAGE, DatabaseImageStore
from moorage.adapters.database.sqlite import open_sqlite
from moorage.adapters.files.images import FileImages
from moorage.adapters.http.image_client import HttpImageApi
from moorage.adapters.http.session import Session
from moorage.adapters.http.transport import InProcess
from moorage.adapters.memory.clock import LoopClock
from moorage.adapters.memory.image_files import MemoryImages
from moorage.domain.caller import Caller
from moorage.domain.errors import NotFound, Unavailable
from moorage.domain.ids import ImageId, ProjectId, UserId
from moorage.image.http import make_app
from moorage.image.service import WE, ImageService
from moorage.image.sharing import Sharing
from moorage.kit.mount import Asgi, Receive, Scope, Send
from moorage.seams.image_files import ImageFiles

MIB = 1 << 20
RAW = {"name": "disk", "disk_format": "raw", "container_format": "bare", "owner": "theirs"}
URL = "http://inside/v2/images"


class Nova:
    """A service user's token, given and taken."""

    async def token(self, *, refused: str | None = None) -> str:
        return "nova"

    async def verify(self, token: str) -> Caller:
        assert token == "nova"
        return Caller(UserId("nova"), ProjectId("service"), frozenset({"service"}))


class Glance:
    """The image service, and compute's client of it."""

    def __init__(self, files: ImageFiles) -> None:
        self.service = ImageService(DatabaseImageStore(open_sqlite(None, IMAGE)), files, LoopClock())
        self.transport = InProcess(make_app(self.service, Nova()))
        self.client = HttpImageApi(Session(self.transport, "http://inside", Nova()))

    async def image(self, mebibytes: int, **fields: object) -> ImageId:
        image = await self.service.create(WE, RAW | fields)
        await self.service.upload(WE, image.id, noise(mebibytes))
        return image.id


async def noise(mebibytes: int) -> AsyncIterator[bytes]:
    for number in range(mebibytes):
        yield number.to_bytes(2) * (MIB // 2)


async def begin(send: Send, length: int = 3 * MIB) -> None:
    headers = [(b"content-length", str(length).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def a_piece(send: Send, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": bytes(MIB), "more_body": more})


async def test_an_image_of_200_mib_comes_whole_in_little_memory(tmp_path: Path) -> None:
    glance = Glance(FileImages(tmp_path / "glance"))
    image = await glance.image(200)
    into = tmp_path / "kept"
    longest, done = 0.0, asyncio.Event()

    async def watch_the_loop() -> None:
        nonlocal longest
        loop = asyncio.get_running_loop()
        while not done.is_set():
            before = loop.time()
            await asyncio.sleep(0.001)
            longest = max(longest, loop.time() - before)

    tracemalloc.start()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(watch_the_loop())
            await glance.client.fetch(image, into)
            done.set()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * MIB
    assert longest < 0.5, "the event loop stood still"
    [stored] = (tmp_path / "glance").iterdir()
    assert sha512(into.read_bytes()).digest() == sha512(stored.read_bytes()).digest()
    assert into.stat().st_size == 200 * MIB
    assert not into.with_name("kept.part").exists()


@pytest.mark.looptime
async def test_a_slow_reader_gets_it_whole() -> None:
    glance = Glance(MemoryImages())
    image = await glance.image(20)
    size = 0
    async with glance.transport.download(f"{URL}/{image}/file", {"X-Auth-Token": "nova"}) as pieces:
        async for piece in pieces:
            await asyncio.sleep(9.0)
            size += len(piece)
    assert size == 20 * MIB
    assert asyncio.get_running_loop().time() > 100.0


@pytest.mark.looptime
async def test_the_application_gets_no_further_ahead_than_a_few_pieces() -> None:
    sent = 0

    async def eager(_scope: Scope, _receive: Receive, send: Send) -> None:
        nonlocal sent
        await begin(send, 100 * MIB)
        for number in range(100):
            await a_piece(send, more=number < 99)
            sent += 1

    async with InProcess(eager).download(URL, {}) as pieces:
        await anext(pieces)
        await asyncio.sleep(60.0)
        assert sent <= 4


@pytest.mark.looptime
async def test_an_application_that_falls_silent_is_unavailable_after_ten_seconds() -> None:
    async def silent(_scope: Scope, _receive: Receive, send: Send) -> None:
        await begin(send)
        await asyncio.sleep(9.0)
        await a_piece(send)
        await asyncio.get_running_loop().create_future()

    async def read() -> None:
        async with InProcess(silent).download(URL, {}) as pieces:
            async for _ in pieces:
                pass

    with pytest.raises(Unavailable, match="nothing came for 10 s"):
        await read()
    assert asyncio.get_running_loop().time() == pytest.approx(19.0)


async def breaks(_scope: Scope, _receive: Receive, send: Send) -> None:
    await begin(send)
    await a_piece(send)
    raise OSError("the disk is gone")


async def cut(_scope: Scope, _receive: Receive, send: Send) -> None:
    await begin(send)
    await a_piece(send, more=False)


async def refuses(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 403, "headers": []})
    await a_piece(send, more=False)


@pytest.mark.parametrize("app", [breaks, cut, refuses])
async def test_what_does_not_come_whole_is_not_kept(tmp_path: Path, app: Asgi) -> None:
    client = HttpImageApi(Session(InProcess(app), "http://inside", Nova()))
    with pytest.raises(Unavailable):
        await client.fetch(ImageId("one"), tmp_path / "kept")
    assert list(tmp_path.iterdir()) == []


async def test_a_full_disk_is_unavailable_and_ends_the_download(tmp_path: Path) -> None:
    glance = Glance(MemoryImages())
    image = await glance.image(20)
    tasks = asyncio.all_tasks()
    (tmp_path / "kept.part").symlink_to("/dev/full")
    with pytest.raises(Unavailable, match="keeping image"):
        await glance.client.fetch(image, tmp_path / "kept")
    assert asyncio.all_tasks() == tasks
    assert list(tmp_path.iterdir()) == []


async def test_a_download_that_is_cancelled_closes_both_ends(tmp_path: Path) -> None:
    glance = Glance(FileImages(tmp_path / "glance"))
    image = await glance.image(50)
    before, tasks = open_files(tmp_path), asyncio.all_tasks()
    reached = asyncio.Event()

    async def read() -> None:
        async with glance.transport.download(f"{URL}/{image}/file", {"X-Auth-Token": "nova"}) as pieces:
            await anext(pieces)
            reached.set()
            await asyncio.get_running_loop().create_future()

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read())
        await reached.wait()
        assert open_files(tmp_path) != before
        reading.cancel()
    assert (open_files(tmp_path), asyncio.all_tasks()) == (before, tasks)


@pytest.mark.looptime
async def test_who_leaves_early_waits_until_the_image_service_has_closed_its_file() -> None:
    class SlowToClose(MemoryImages):
        closed = False

        async def read(self, image: ImageId) -> AsyncGenerator[bytes, None]:
            try:
                async for piece in super().read(image):
                    yield piece
            finally:
                await asyncio.sleep(1.0)
                self.closed = True

    files = SlowToClose()
    glance = Glance(files)
    image = await glance.image(10)
    async with glance.transport.download(f"{URL}/{image}/file", {"X-Auth-Token": "nova"}) as pieces:
        await anext(pieces)
    assert files.closed


def open_files(below: Path) -> set[str]:
    return {path for path in map(_target, Path("/proc/self/fd").iterdir()) if path.startswith(str(below))}


def _target(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)
    except OSError:  # the one that lists them
        return ""


@pytest.mark.parametrize("visibility", ["private", "shared"])
async def test_a_service_users_eyes_are_not_the_projects(visibility: str) -> None:
    glance = Glance(MemoryImages())
    image = await glance.image(1, visibility=visibility)
    assert (await glance.client.show(image, ProjectId("theirs"))).status == "active"
    with pytest.raises(NotFound):
        await glance.client.show(image, ProjectId("mine"))


async def test_an_image_is_also_of_those_with_whom_it_is_shared() -> None:
    glance = Glance(MemoryImages())
    image = await glance.image(1, visibility="shared")
    await Sharing(glance.service.store, glance.service.clock).share(WE, image, "mine")
    assert (await glance.client.show(image, ProjectId("mine"))).status == "active"
    with pytest.raises(NotFound):
        await glance.client.show(image, ProjectId("a third"))


async def test_a_public_image_is_anybodys() -> None:
    glance = Glance(MemoryImages())
    image = await glance.image(1, visibility="public")
    shown: Any = await glance.client.show(image, ProjectId("mine"))
    assert shown.id == image
