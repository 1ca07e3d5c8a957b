"""Images' data as files in one directory: written beside, then renamed."""

import asyncio
import errno
import fcntl
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Set
from contextlib import contextmanager, suppress
from hashlib import md5, sha512
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from moorage.domain.errors import Full, NotFound, TooLarge, Unavailable
from moorage.domain.ids import ImageId
from moorage.domain.image import Written
from moorage.kit.locking import is_locked
from moorage.kit.translating import translating

PIECE = 1 << 20  # bytes; worth a thread's round trip
PARTIAL = ".part"
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FileImages:
    """Fulfils seams.image_files.ImageFiles in `directory`, which is made when missing.

    Not synced: after a power cut an image may be short, and its checksum says so.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    async def write(self, image: ImageId, parts: AsyncIterator[bytes], *, limit: int) -> Written:
        partial = self._directory / f"{image}.{uuid4().hex}{PARTIAL}"
        with _storing(image):
            writing = _Writing(partial)
        try:
            async for part in parts:
                writing.size += len(part)
                if writing.size > limit:
                    raise TooLarge(f"The image is larger than the {limit} bytes that are allowed.")
                writing.waiting.append(part)
                writing.held += len(part)
                if writing.held >= PIECE:
                    with _storing(image):
                        await asyncio.to_thread(writing.store)
            with _storing(image):
                await asyncio.to_thread(writing.end, self._path(image))
        finally:
            writing.drop()
        return Written(writing.size, writing.md5.hexdigest(), writing.sha512.hexdigest())

    async def read(self, image: ImageId) -> AsyncGenerator[bytes, None]:
        try:
            file = await asyncio.to_thread(self._path(image).open, "rb")
        except FileNotFoundError:
            raise NotFound(f"No data was found for image {image}.") from None
        with file, translating({OSError: Unavailable}, f"reading image {image}"):
            while piece := await asyncio.to_thread(file.read, PIECE):
                yield piece

    async def delete(self, image: ImageId) -> None:
        with translating({OSError: Unavailable}, f"deleting the data of image {image}"):
            self._path(image).unlink(missing_ok=True)

    async def being_written(self) -> Set[ImageId]:
        with translating({OSError: Unavailable}, "looking for images that are written"):
            parts = [path for path in self._directory.iterdir() if path.name.endswith(PARTIAL) and is_locked(path)]
        return {ImageId(path.name.partition(".")[0]) for path in parts}

    async def clean(self, known: Callable[[], Awaitable[Set[ImageId]]]) -> None:
        with translating({OSError: Unavailable}, "removing images that nobody knows"):
            there = list(self._directory.iterdir())
            keep = await known()
            for path in there:
                if path.name.endswith(PARTIAL):
                    _remove_unless_locked(path)
                elif path.name not in keep:
                    path.unlink(missing_ok=True)

    def _path(self, image: ImageId) -> Path:
        return self._directory / image


@contextmanager
def _storing(image: ImageId) -> Iterator[None]:
    """Raises Full when there is no room, Unavailable for what else keeps a file from being written."""
    try:
        yield
    except OSError as error:
        kind = Full if error.errno in NO_ROOM else Unavailable
        raise kind(f"storing image {image}: {error.strerror or error}") from error


def _locked(path: Path) -> BinaryIO:
    """A new file, locked for as long as it is open: others see that somebody writes it."""
    while True:
        file = path.open("xb")
        fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists():
            return file
        file.close()  # taken for a dead one's, and removed, before it was locked


def _remove_unless_locked(path: Path) -> None:
    with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)


class _Writing:
    """A file on its way; `store`, `end` are run in a thread, one after the other."""

    def __init__(self, path: Path) -> None:
        self.size = 0
        self.held = 0
        self.waiting: list[bytes] = []
        self.md5 = md5(usedforsecurity=False)
        self.sha512 = sha512()
        self._path = path
        self._file: BinaryIO = _locked(path)

    def store(self) -> None:
        for part in self.waiting:
            self._file.write(part)
            self.md5.update(part)
            self.sha512.update(part)
        self.waiting.clear()
        self.held = 0

    def end(self, path: Path) -> None:
        self.store()
        self._file.close()
        self._path.rename(path)

    def drop(self) -> None:
        """Close the file and remove it, unless it has its place by now."""
        with suppress(OSError):  # closing flushes, which may find the disk full once more
            self._file.close()
        with suppress(FileNotFoundError):
            os.unlink(self._path)
