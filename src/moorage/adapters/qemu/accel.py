"""Whether KVM really runs guests here. /dev/kvm may open, and make machines, and still not boot a kernel."""

import asyncio
from contextlib import suppress
from pathlib import Path

from moorage.seams.hypervisor import GuestImage

BOOT_TIMEOUT = 3.0  # seconds; where KVM works it takes less than one
FIRST_WORDS = b"moorage-guest: "  # it boots quietly: nothing comes before them


async def kvm_works(image: GuestImage, cache: Path, *, program: str = "qemu-system-x86_64") -> bool:
    """Boot moorage-guest under KVM and see. The answer is kept in the file `cache` until the machine is booted anew."""
    boot = await asyncio.to_thread(Path("/proc/sys/kernel/random/boot_id").read_text)
    with suppress(OSError, ValueError):
        known_boot, answer = (await asyncio.to_thread(cache.read_text)).split()
        if known_boot == boot.strip():
            return answer == "works"
    works = await _boots(image, program)
    await asyncio.to_thread(_keep, cache, f"{boot.strip()} {'works' if works else 'fails'}\n")
    return works


def _keep(cache: Path, answer: str) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(answer)


async def _boots(image: GuestImage, program: str) -> bool:
    try:
        process = await asyncio.create_subprocess_exec(
            *(program, "-nodefaults", "-no-user-config", "-display", "none", "-sandbox", "on,spawn=deny"),
            *("-machine", "pc", "-accel", "kvm", "-cpu", "host", "-m", "128M", "-serial", "stdio", "-no-reboot"),
            *("-kernel", str(image.kernel), "-initrd", str(image.ramdisk), "-append", image.command_line),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return False
    assert process.stdout is not None
    said = b""
    try:
        with suppress(TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(BOOT_TIMEOUT):
                said = await process.stdout.readuntil(FIRST_WORDS)
    finally:
        if process.returncode is None:
            process.kill()
    await process.wait()
    return said.endswith(FIRST_WORDS)
