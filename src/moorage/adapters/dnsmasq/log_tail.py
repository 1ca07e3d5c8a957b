"""What a program says in its log from now on, as it is said.

By looking, each millisecond at first: letting go of an inotify watch takes a grace period of the kernel's, 15 ms.
"""

import asyncio
import os
from pathlib import Path
from types import TracebackType
from typing import Self

_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.02  # seconds


class LogTail:
    """The end of a log file; a context manager, entered before what shall be logged is caused."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._said = b""

    def __enter__(self) -> Self:
        self._file = os.open(self._path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.lseek(self._file, 0, os.SEEK_END)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    @property
    def said(self) -> str:
        """All that has been logged since it was entered."""
        while more := os.read(self._file, 65536):
            self._said += more
        return self._said.decode(errors="replace")

    async def lines(self, *endings: str) -> None:
        """Returns when lines with each of these endings (but for blanks) have been logged."""
        pause = _FIRST_PAUSE
        while not all(any(line.rstrip().endswith(ending) for line in self.said.splitlines()) for ending in endings):
            await asyncio.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE)
