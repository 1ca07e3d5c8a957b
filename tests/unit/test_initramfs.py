"""The ramdisk's archive, against the system's cpio."""

import subprocess
from pathlib import Path

from moorage.adapters.guest_image.initramfs import archive, character_device, directory, file, symlink

ENTRIES = [
    directory("bin"),
    file("bin/busybox", b"\x7fELF" + bytes(1001), executable=True),
    symlink("bin/sh", "busybox"),
    file("motd", b"moored\n"),
    file("empty", b""),
]


def test_cpio_unpacks_what_was_packed(tmp_path: Path) -> None:
    subprocess.run(["cpio", "-id", "--quiet"], cwd=tmp_path, input=archive(ENTRIES), check=True)
    assert (tmp_path / "bin/busybox").read_bytes() == b"\x7fELF" + bytes(1001)
    assert (tmp_path / "bin/busybox").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "bin/sh").readlink() == Path("busybox")
    assert (tmp_path / "motd").read_text() == "moored\n"
    assert (tmp_path / "motd").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "empty").read_bytes() == b""


def test_cpio_lists_devices_with_their_numbers() -> None:
    packed = archive([directory("dev"), character_device("dev/console", 5, 1)])
    listed = subprocess.run(["cpio", "-tv", "--quiet"], input=packed, check=True, capture_output=True).stdout.decode()
    console = next(line for line in listed.splitlines() if "dev/console" in line)
    assert console.startswith("crw-------")
    assert "5,   1" in console


def test_the_same_entries_make_the_same_archive_of_whole_words() -> None:
    assert archive(ENTRIES) == archive(ENTRIES)
    assert len(archive(ENTRIES)) % 4 == 0
