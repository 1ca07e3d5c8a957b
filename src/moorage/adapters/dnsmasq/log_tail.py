"""What a program says in its log from now on, as it is said (inotify, which Python does not have)."""

import asyncio
import ctypes
import os
from pathlib import Path
from types import TracebackType
from typing import Self

_IN_MODIFY = 0x2
_libc = ctypes.CDLL(None, use_errno=True)


class LogTail:
    """The end of a log file; a context manager, entered before what shall be logged is caused."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._said = b""
        self._has_grown = asyncio.Event()

    def __enter__(self) -> Self:
        self._file = os.open(self._path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.lseek(self._file, 0, os.SEEK_END)
        self._notices = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._notices < 0 or _libc.inotify_add_watch(self._notices, os.fsencode(self._path), _IN_MODIFY) < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"watching {self._path}: {os.strerror(number)}")
        asyncio.get_running_loop().add_reader(self._notices, self._notice)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._notices)
        os.close(self._notices)
        os.close(self._file)

    @property
    def said(self) -> str:
        """All that has been logged since it was entered."""
        while more := os.read(self._file, 65536):
            self._said += more
        return self._said.decode(errors="replace")

    async def lines(self, *endings: str) -> None:
        """Returns when lines with each of these endings (but for blanks) have been logged."""
        while not all(any(line.rstrip().endswith(ending) for line in self.said.splitlines()) for ending in endings):
            await self._has_grown.wait()
            self._has_grown.clear()

    def _notice(self) -> None:
        os.read(self._notices, 4096)
        self._has_grown.set()
