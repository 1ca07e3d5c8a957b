"""Whether KVM really runs guests here. /dev/kvm may open, and make machines, and still not boot a kernel."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from moorage.seams.hypervisor import GuestImage

BOOT_TIMEOUT = 2.5  # seconds; where KVM works it takes less than one
END_TIMEOUT = 0.5  # seconds; who waits inside a broken KVM does not even die
FIRST_WORDS = b"moorage-guest: "  # it boots quietly: nothing comes before them


async def kvm_works(
    image: GuestImage,
    cache: Path,
    progress: Callable[[str], None] = lambda _: None,
    *,
    program: str = "qemu-system-x86_64",
) -> bool:
    """Boot moorage-guest under KVM and see, within 3 s.

    The answer is kept in the file `cache` until the machine is booted anew; `progress` is told when it is looked for.
    """
    boot = await asyncio.to_thread(Path("/proc/sys/kernel/random/boot_id").read_text)
    with suppress(OSError, ValueError):
        known_boot, answer = (await asyncio.to_thread(cache.read_text)).split()
        if known_boot == boot.strip():
            return answer == "works"
    progress("trying whether KVM runs guests here …")
    works = await _boots(image, program)
    await asyncio.to_thread(_keep, cache, f"{boot.strip()} {'works' if works else 'fails'}\n")
    return works


def _keep(cache: Path, answer: str) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(answer)


async def _boots(image: GuestImage, program: str) -> bool:
    try:
        transport, guest = await asyncio.get_running_loop().subprocess_exec(
            _FirstWords,
            *(program, "-nodefaults", "-no-user-config", "-display", "none", "-sandbox", "on,spawn=deny"),
            *("-machine", "pc", "-accel", "kvm", "-cpu", "host", "-m", "128M", "-serial", "stdio", "-no-reboot"),
            *("-kernel", str(image.kernel), "-initrd", str(image.ramdisk), "-append", image.command_line),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return False
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(BOOT_TIMEOUT):
                await guest.is_clear.wait()
    finally:
        transport.close()  # which kills it
    with suppress(TimeoutError):
        async with asyncio.timeout(END_TIMEOUT):
            await guest.has_ended.wait()
    return guest.said.endswith(FIRST_WORDS)


class _FirstWords(asyncio.SubprocessProtocol):
    """What the trial says, until it has said enough or can say no more."""

    def __init__(self) -> None:
        self.said = b""
        self.is_clear = asyncio.Event()
        self.has_ended = asyncio.Event()

    def pipe_data_received(self, _fd: int, data: bytes) -> None:
        if not self.is_clear.is_set():
            words, found, _ = (self.said + data).partition(FIRST_WORDS)
            self.said = words[-len(FIRST_WORDS) :] + found
            if found:
                self.is_clear.set()

    def pipe_connection_lost(self, _fd: int, _error: Exception | None) -> None:
        self.is_clear.set()

    def process_exited(self) -> None:
        self.has_ended.set()
