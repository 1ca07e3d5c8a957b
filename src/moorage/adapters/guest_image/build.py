"""Builds moorage-guest once: Debian's cloud kernel with a ramdisk of busybox that asks for an address by DHCP."""

import asyncio
import fcntl
import gzip
import hashlib
import lzma
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path

from moorage.adapters.guest_image.initramfs import Entry, archive, character_device, directory, file, symlink
from moorage.domain.errors import Invalid, Unavailable
from moorage.seams.hypervisor import GuestImage

KERNEL_PACKAGE = "linux-image-cloud-amd64"
MODULES = ("virtio_pci", "virtio_net", "evdev", "button")  # evdev before button: input devices are announced once
SCRIPTS = {"init": "init.sh", "etc/udhcpc.sh": "udhcpc.sh"}
# Each as measured under TCG, together 0.2 s of 2: no second UART, no mouse, no zeroing of fresh memory, no slow RCU.
# no_timer_check is for the storm: a starved guest takes a late timer for a broken one, and panics.
COMMAND_LINE = (
    "console=ttyS0 quiet no_timer_check nokaslr mitigations=off audit=0 random.trust_cpu=on init_on_alloc=0"
    " rcupdate.rcu_expedited=1 8250.nr_uarts=1 i8042.noaux"
)
ONCE = "building the guest image (once)"
DOWNLOAD_TIMEOUT = 300.0  # seconds
UNFINISHED = "building-moorage-guest-"
UNPACK_TIMEOUT = 120.0  # seconds


async def guest_image(cache: Path, progress: Callable[[str], None] = lambda _: None) -> GuestImage:
    """moorage-guest, from `cache` or built there (27 MB are downloaded); `progress` is told what is being done.

    Two builders at once build once; what an interrupted one may leave, the next one clears. Raises Invalid when this
    machine lacks what it takes, Unavailable when Debian's packages cannot be reached; both say what to do.
    """
    home = cache / f"moorage-guest-{_recipe()}"
    if not home.is_dir():
        await asyncio.to_thread(cache.mkdir, parents=True, exist_ok=True)
        async with _only_builder(cache / "moorage-guest.lock", progress):
            if not home.is_dir():
                await asyncio.to_thread(_clear, cache)
                await _build(home, progress)
    return GuestImage(kernel=home / "vmlinuz", ramdisk=home / "ramdisk", command_line=COMMAND_LINE)


def _recipe() -> str:
    """Changes when what we put into the guest does, so that a newer Moorage does not take an older guest."""
    return hashlib.sha256("\0".join([*MODULES, *map(_script, SCRIPTS.values())]).encode()).hexdigest()[:12]


def _script(name: str) -> str:
    return resources.files("moorage.adapters.guest_image").joinpath(name).read_text()


@asynccontextmanager
async def _only_builder(lock: Path, progress: Callable[[str], None]) -> AsyncIterator[None]:
    with lock.open("w") as held:
        told = False
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    progress("waiting for another moorage that builds the guest")
                    told = True
                await asyncio.sleep(0.2)  # a file lock cannot be awaited
        yield


async def _build(home: Path, progress: Callable[[str], None]) -> None:
    busybox = _busybox()
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise Invalid(f"building moorage-guest: {tool} is missing; it is built on Debian, amd64")
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=home.parent, ignore_cleanup_errors=True) as temporary:
        work = Path(temporary)
        package = await _download(work, progress)
        progress(f"{ONCE} … unpacking the kernel")
        await _run(["dpkg-deb", "-x", str(package), str(work / "tree")], UNPACK_TIMEOUT, work)
        progress(f"{ONCE} … making the ramdisk")
        applets = (await _run([str(busybox), "--list"], 10.0, work)).split()
        result = work / "result"
        await asyncio.to_thread(_assemble, work / "tree", busybox, applets, result)
        result.rename(home)


def _clear(cache: Path) -> None:
    for left in cache.glob(f"{UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)


def _busybox() -> Path:
    found = next((path for path in map(Path, ("/bin/busybox", "/usr/bin/busybox")) if path.exists()), None)
    if found is None:
        raise Invalid("building moorage-guest: busybox is missing; apt-get install busybox-static")
    if b"/ld-linux" in found.read_bytes()[:4096]:  # the interpreter, which only a dynamic program names
        raise Invalid(f"building moorage-guest: {found} is not static; apt-get install busybox-static")
    return found


async def _download(work: Path, progress: Callable[[str], None]) -> Path:
    """The kernel's package: by the machine's package lists, else by fresh ones of our own (theirs are not touched)."""
    options = ["-o", "APT::Sandbox::User=root"]
    try:
        return await _download_by(options, work, progress)
    except Unavailable:
        progress(f"{ONCE} … fetching Debian's package lists")
    for name in ("lists/partial", "cache/archives/partial"):
        (work / name).mkdir(parents=True)
    options += ["-o", f"Dir::State::Lists={work / 'lists'}", "-o", f"Dir::Cache={work / 'cache'}"]
    await _run(["apt-get", *options, "update"], DOWNLOAD_TIMEOUT, work)
    return await _download_by(options, work, progress)


async def _download_by(options: Sequence[str], work: Path, progress: Callable[[str], None]) -> Path:
    said = await _run(["apt-cache", *options, "depends", KERNEL_PACKAGE], 60.0, work)
    found = re.search(r"Depends: (linux-image-\S+)", said)
    if found is None:
        raise Unavailable(f"building moorage-guest: {KERNEL_PACKAGE} names no kernel; run apt-get update and try again")
    progress(f"{ONCE} … downloading {found[1]} (27 MB)")
    await _run(["apt-get", *options, "download", found[1]], DOWNLOAD_TIMEOUT, work)
    return await asyncio.to_thread(lambda: next(work.glob("*.deb")))


async def _run(argv: Sequence[str], timeout: float, work: Path) -> str:
    """What the command printed. Raises Unavailable with its last words when it fails or takes too long."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=work,
        env={**os.environ, "LC_ALL": "C"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # dpkg-deb and apt-get have children, to be ended with them
    )
    act = f"building moorage-guest: {argv[0]} {argv[-1]}"
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate()
    except TimeoutError as error:
        raise Unavailable(f"{act} took more than {timeout:g} s; look at the network and try again") from error
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        words = err.decode(errors="replace").strip()[-500:]
        raise Unavailable(f"{act}: {words} (can this machine reach Debian's packages? try apt-get update)")
    return out.decode(errors="replace")


def _assemble(tree: Path, busybox: Path, applets: Sequence[str], result: Path) -> None:
    result.mkdir()
    kernel = next(tree.glob("boot/vmlinuz-*"), None)
    modules = next((found for pattern in ("lib", "usr/lib") for found in tree.glob(f"{pattern}/modules/*")), None)
    if kernel is None or modules is None:
        raise Invalid(f"building moorage-guest: {KERNEL_PACKAGE} holds no kernel; report this as a bug of moorage")
    kernel.rename(result / "vmlinuz")
    entries = _entries(busybox.read_bytes(), applets, _modules(modules))
    (result / "ramdisk").write_bytes(gzip.compress(archive(entries), 9, mtime=0))


def _entries(busybox: bytes, applets: Sequence[str], modules: dict[str, bytes]) -> list[Entry]:
    return [
        *map(directory, ("bin", "dev", "etc", "modules", "proc", "sys", "tmp", "www")),
        character_device("dev/console", 5, 1),  # where init's output goes, before it mounts /dev
        file("bin/busybox", busybox, executable=True),
        *(symlink(f"bin/{applet}", "busybox") for applet in applets if applet != "busybox"),
        *(file(path, _script(name).encode(), executable=True) for path, name in SCRIPTS.items()),
        *(file(f"modules/{name}", content) for name, content in modules.items()),
        file("modules/order", "".join(f"{name}\n" for name in modules).encode()),
    ]


def _modules(home: Path) -> dict[str, bytes]:
    """The modules that we need and those that they need, in the order to load them; without what is built in."""
    files = {path.name.split(".")[0].replace("-", "_"): path for path in home.glob("kernel/**/*.ko*")}
    builtin = {Path(line).stem.replace("-", "_") for line in (home / "modules.builtin").read_text().split()}
    found: dict[str, bytes] = {}

    def need(name: str) -> None:
        if name in found or name in builtin:
            return
        if name not in files:
            raise Invalid(f"building moorage-guest: the kernel has no module {name}; report this as a bug of moorage")
        content = files[name].read_bytes()
        if files[name].suffix == ".xz":  # from Debian 13 on
            content = lzma.decompress(content)
        depends = re.search(rb"\0depends=([^\0]*)\0", content)
        for other in (depends[1].decode() if depends else "").split(","):
            if other:
                need(other.replace("-", "_"))
        found[name] = content

    for name in MODULES:
        need(name)
    return found
