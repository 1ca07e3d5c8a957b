"""A ramdisk for the kernel: a "newc" cpio archive (Linux: driver-api/early-userspace/buffer-format)."""

import stat
from collections.abc import Iterable
from dataclasses import dataclass

TRAILER = "TRAILER!!!"


@dataclass(frozen=True)
class Entry:
    """One thing in the ramdisk, owned by root. `mode` holds type and permissions, `content` a symlink's target too."""

    path: str  # without a leading slash
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)  # major and minor of a device node


def directory(path: str) -> Entry:
    return Entry(path, stat.S_IFDIR | 0o755)


def file(path: str, content: bytes, *, executable: bool = False) -> Entry:
    return Entry(path, stat.S_IFREG | (0o755 if executable else 0o644), content)


def symlink(path: str, target: str) -> Entry:
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def character_device(path: str, major: int, minor: int) -> Entry:
    return Entry(path, stat.S_IFCHR | 0o600, device=(major, minor))


def archive(entries: Iterable[Entry]) -> bytes:
    """The archive, the same for the same entries (no times, no owners). A directory must come before what is in it."""
    packed = [_pack(number, entry) for number, entry in enumerate(entries, start=1)]
    return b"".join([*packed, _pack(0, Entry(TRAILER, 0))])


def _pack(number: int, entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (number, entry.mode, 0, 0, links, 0, len(entry.content), 0, 0, *entry.device, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(header + name) + _padded(entry.content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
