"""A guest's own disk: a qcow2 overlay over an image that is never written to (sub-fact held)."""

import asyncio
from pathlib import Path

from moorage.domain.errors import Invalid, Unavailable
from moorage.kit.translating import translating
from moorage.seams.hypervisor import GuestImage

GIB = 1 << 30  # bytes
FORMATS = ("raw", "qcow2")
QEMU_IMG_TIMEOUT = 10.0  # seconds
QCOW2_MAGIC = b"QFI\xfb"
EXTERNAL_DATA = 1 << 2  # of the incompatible features (docs/interop/qcow2.txt)


async def make_overlay(image: GuestImage, overlay: Path, *, disk_gib: int, program: str) -> None:
    """The overlay, as large as asked for or as the image, whichever is more; an existing one is kept.

    The image itself is not opened by qemu-img (-u), but later by the guest's QEMU in its sandbox: who made it may mean
    ill. Raises Invalid for an image that is missing or refers to other files, Unavailable.
    """
    if image.disk is None or await asyncio.to_thread(overlay.exists):
        return
    if image.disk_format not in FORMATS:
        raise Invalid(f"disk {image.disk}: format {image.disk_format!r} is none of {', '.join(FORMATS)}")
    size = max(disk_gib * GIB, await asyncio.to_thread(_virtual_size, image.disk, image.disk_format))
    fresh = overlay.with_suffix(".new")
    backing = ("-b", str(image.disk), "-F", image.disk_format)  # said, so never probed
    with translating({OSError: Unavailable}, f"making {overlay}"):
        await _run(program, "create", "-q", "-u", "-f", "qcow2", *backing, str(fresh), str(size))
        fresh.rename(overlay)


def _virtual_size(disk: Path, disk_format: str) -> int:
    """Bytes; 0 where QEMU will say what is wrong. Raises Invalid for an image that reaches for other files.

    A qcow2 image that names a backing or data file would hand its owner any file of this host (CVE-2024-32498): so the
    header is read here, before any of QEMU opens it.
    """
    try:
        with disk.open("rb") as opened:
            header = opened.read(104)
        length = disk.stat().st_size
    except OSError as error:
        raise Invalid(f"Could not open '{disk.name}': {error.strerror}") from error
    if disk_format == "raw":
        return length
    if header[:4] != QCOW2_MAGIC or len(header) < 72:
        return 0
    version, backing, size = (int.from_bytes(header[start:end]) for start, end in ((4, 8), (8, 16), (24, 32)))
    features = int.from_bytes(header[72:80]) if version >= 3 else 0
    if backing or features & EXTERNAL_DATA:
        raise Invalid(f"disk {disk.name} refers to another file; flatten it: qemu-img convert -O qcow2")
    return size


async def _run(*argv: str) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise Invalid(f"{argv[0]} is missing; apt-get install qemu-utils") from error
    try:
        async with asyncio.timeout(QEMU_IMG_TIMEOUT):
            _, words = await process.communicate()
    except TimeoutError as error:
        raise Unavailable(f"{argv[0]} {argv[1]} took more than {QEMU_IMG_TIMEOUT:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode != 0:
        said = words.decode(errors="replace").strip().removeprefix("qemu-img: ")
        raise Unavailable(said) if "No space left" in said else Invalid(said)
