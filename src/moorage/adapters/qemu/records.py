"""What an adapter that starts anew must know of each guest: one small file in the guest's own directory."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from moorage.domain.ids import ServerId
from moorage.seams.hypervisor import Guest

CONSOLE_SIZE = 1 << 20  # bytes
CONSOLE_FULL = 4 * CONSOLE_SIZE  # when its log is cut


@dataclass(frozen=True)
class Record:
    guest: Guest
    uid: int | None = None  # which its QEMU runs as


class Records:
    """A directory for each guest. Everything here blocks, for no longer than a small file takes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def home(self, server: ServerId) -> Path:
        return self._directory / server

    def console(self, server: ServerId) -> Path:
        return self.home(server) / "console.log"

    def disk(self, server: ServerId) -> Path:
        return self.home(server) / "disk.qcow2"

    def log(self, server: ServerId) -> Path:
        """QEMU's own words."""
        return self.home(server) / "qemu.log"

    def find(self, server: ServerId) -> Record | None:
        with suppress(FileNotFoundError):
            return msgspec.json.decode(
                (self.home(server) / "guest.json").read_bytes(),
                type=Record,
                dec_hook=lambda kind, value: kind(value),  # paths
            )
        return None

    def keep(self, record: Record) -> None:
        home = self.home(record.guest.server)
        home.mkdir(mode=0o770, parents=True, exist_ok=True)  # whose group guests may be; the umask decides
        fresh = home / "guest.json.new"
        fresh.write_bytes(msgspec.json.encode(record, enc_hook=os.fspath))
        fresh.rename(home / "guest.json")

    def forget(self, server: ServerId) -> None:
        with suppress(FileNotFoundError):
            shutil.rmtree(self.home(server))

    def all(self) -> list[Record]:
        return list(self._all())

    def _all(self) -> Iterator[Record]:
        for path in self._directory.glob("*/guest.json"):
            if record := self.find(ServerId(path.parent.name)):
                yield record

    def written(self, server: ServerId) -> bytes:
        """The end of what the guest has written to its console."""
        console = self.console(server)
        return b"".join(_end(path) for path in (_cut(console), console))[-CONSOLE_SIZE:]

    def cut_console(self, server: ServerId) -> None:
        """Keep the log from filling the disk. QEMU appends to it; a line written just now may be lost."""
        console = self.console(server)
        with suppress(FileNotFoundError):
            if console.stat().st_size > CONSOLE_FULL:
                _cut(console).write_bytes(_end(console))
                os.truncate(console, 0)

    def last_words(self, server: ServerId) -> str:
        """QEMU's own, since its last start."""
        return _end(self.log(server))[-2000:].decode(errors="replace").strip()

    def clear_words(self, server: ServerId) -> None:
        self.log(server).write_bytes(b"")


def _cut(console: Path) -> Path:
    return console.with_suffix(".old.log")


def _end(path: Path) -> bytes:
    with suppress(FileNotFoundError), path.open("rb") as opened:
        opened.seek(-min(CONSOLE_SIZE, path.stat().st_size), os.SEEK_END)
        return opened.read(CONSOLE_SIZE)
    return b""
