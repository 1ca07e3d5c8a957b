"""What is kept of each guest in its own directory: who it is, whether it was let run, its page, its console."""

import html
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from moorage.domain.ids import ServerId
from moorage.seams.hypervisor import GuestState, Nic

CONSOLE_SIZE = 1 << 20  # bytes that are shown
_CONSOLE_FULL = 4 * CONSOLE_SIZE  # when its log is cut


@dataclass(frozen=True)
class Record:
    """`wanted` is what it was last made to be: held, running, paused or off. One that has no process, and is not held,
    is off."""

    server: ServerId
    name: str
    nics: tuple[Nic, ...]
    wanted: GuestState = GuestState.HELD


class Records:
    """A directory for each guest. Everything here blocks, for no longer than a small file takes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def home(self, server: ServerId) -> Path:
        return self._directory / server

    def console(self, server: ServerId) -> Path:
        return self.home(server) / "console.log"

    def find(self, server: ServerId) -> Record | None:
        with suppress(FileNotFoundError):
            return msgspec.json.decode((self.home(server) / "guest.json").read_bytes(), type=Record)
        return None

    def make(self, record: Record) -> None:
        """Its directory with its page, and what is kept of it."""
        home = self.home(record.server)
        (home / "www").mkdir(mode=0o700, parents=True, exist_ok=True)
        page = f"<!DOCTYPE html>\n<title>{html.escape(record.name)}</title>\n<p>hello from {html.escape(record.name)}\n"
        (home / "www" / "index.html").write_text(page)
        self.keep(record)

    def keep(self, record: Record) -> None:
        home = self.home(record.server)
        fresh = home / "guest.json.new"
        fresh.write_bytes(msgspec.json.encode(record))
        fresh.rename(home / "guest.json")

    def forget(self, server: ServerId) -> None:
        with suppress(FileNotFoundError):
            shutil.rmtree(self.home(server))

    def all(self) -> list[Record]:
        found = (self.find(ServerId(path.parent.name)) for path in self._directory.glob("*/guest.json"))
        return [record for record in found if record is not None]

    def written(self, server: ServerId) -> bytes:
        """The end of what the guest has written to its console."""
        console = self.console(server)
        return b"".join(_end(path) for path in (_cut(console), console))[-CONSOLE_SIZE:]

    def cut_console(self, server: ServerId) -> None:
        """Keep the log from filling the disk. Its writers append to it; a line written just now may be lost."""
        console = self.console(server)
        with suppress(FileNotFoundError):
            if console.stat().st_size > _CONSOLE_FULL:
                _cut(console).write_bytes(_end(console))
                os.truncate(console, 0)


def _cut(console: Path) -> Path:
    return console.with_suffix(".old.log")


def _end(path: Path) -> bytes:
    with suppress(FileNotFoundError), path.open("rb") as opened:
        opened.seek(-min(CONSOLE_SIZE, path.stat().st_size), os.SEEK_END)
        return opened.read(CONSOLE_SIZE)
    return b""
