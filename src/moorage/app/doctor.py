"""Whether this machine can run a kind of host: privileges, packages, the port, QEMU and KVM, each with its cure."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import moorage
from moorage.app.config import HostKind
from moorage.app.listening import host_port, require_free
from moorage.domain.errors import Conflict, Invalid

# what is run -> the Debian package that brings it
_SWITCH = {
    "ovsdb-server": "openvswitch-switch",
    "ovs-vswitchd": "openvswitch-switch",
    "ovsdb-tool": "openvswitch-common",
    "dnsmasq": "dnsmasq-base",
    "busybox": "busybox-static",
}
NEEDS: Mapping[HostKind, Mapping[str, str]] = {
    HostKind.SIMULATED: {},
    HostKind.NETNS: _SWITCH,
    HostKind.QEMU: {**_SWITCH, "qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils"},
}
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])  # a user's PATH lacks what root runs

Find = Callable[[str], str | None]


@dataclass(frozen=True)
class Check:
    """`is_fine` None: worth knowing, and no hindrance."""

    what: str
    is_fine: bool | None
    found: str
    cure: str = ""


def checks(kind: HostKind, address: str, port: int, ours: str | None = None) -> list[Check]:
    """All that `kind` needs, in the order in which it should be mended; `ours` is where our own cloud listens."""
    found = [packages(kind)]
    if kind is not HostKind.SIMULATED:
        found += [open_vswitch(), privileges()]
    if kind is HostKind.QEMU:
        found.append(kvm())
    return [*found, port_free(address, port, ours)]


def hindrances(kind: HostKind) -> list[Check]:
    """Why this machine cannot run `kind`; nothing when it can. Looks at no port: private clouds take a free one."""
    wanted = [packages(kind)] if kind is HostKind.SIMULATED else [packages(kind), privileges()]
    return [check for check in wanted if check.is_fine is False]


def best_kind() -> tuple[HostKind, str]:
    """`qemu` where it can run, else `simulated` and, in one line, why and how to get the real one."""
    hindering = hindrances(HostKind.QEMU)
    if not hindering:
        return HostKind.QEMU, ""
    reasons = "; ".join(check.found for check in hindering)
    cures = "; ".join(check.cure for check in hindering)
    return HostKind.SIMULATED, f"hosts are simulated, because {reasons}. For real guests: {cures}"


def find(program: str) -> str | None:
    return shutil.which(program, path=_PATH)


def packages(kind: HostKind, find: Find = find) -> Check:
    missing = [program for program in NEEDS[kind] if find(program) is None]
    if not missing:
        programs = ", ".join(NEEDS[kind]) or "nothing beyond Python"
        return Check("packages", True, programs)
    return Check("packages", False, f"{', '.join(missing)} missing", apt_line(kind, missing))


def apt_line(kind: HostKind, missing: Sequence[str]) -> str:
    """The exact line that installs what is missing; RUNLEVEL=1 keeps Debian from starting services."""
    wanted = sorted({NEEDS[kind][program] for program in missing})
    return f"RUNLEVEL=1 apt-get install --no-install-recommends {' '.join(wanted)}"


def open_vswitch(find: Find = find) -> Check:
    """Which Open vSwitch hosts would run; one of the machine's own is neither needed nor touched."""
    program = find("ovs-vswitchd")
    if program is None:
        return Check("Open vSwitch", False, "not installed")  # the packages' line cures it
    try:
        ran = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("Open vSwitch", False, f"{program} does not run: {error}")
    if ran.returncode != 0:
        return Check("Open vSwitch", False, f"{program} does not run: {ran.stderr.strip()[-200:]}")
    version = ran.stdout.splitlines()[0].rpartition(" ")[2] if ran.stdout.strip() else "of no version"
    return Check("Open vSwitch", True, f"{version}; each cloud runs its own, with its datapath in user space")


def privileges() -> Check:
    """Whether we may make worlds, with namespaces and taps: tried, by root or not, since much can forbid it."""
    tried = subprocess.run(
        [sys.executable, "-m", "moorage.adapters.world.trial"],
        env={**os.environ, "PYTHONPATH": str(Path(moorage.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )
    if tried.returncode != 0:
        found, cure, *_ = [*tried.stdout.splitlines(), "namespaces cannot be tried", tried.stderr.strip()[-200:]]
        return Check("privileges", False, found, cure)
    if os.geteuid() == 0:
        return Check("privileges", True, "root, and may make namespaces")
    return Check("privileges", True, "none needed: hosts live in a user namespace")


def kvm() -> Check:
    """A note: guests run without KVM too, only slower."""
    device = Path("/dev/kvm")
    if not device.exists():
        return Check("KVM", None, "no /dev/kvm: guests are emulated (TCG)")
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return Check("KVM", None, f"/dev/kvm: {error.strerror}: guests are emulated (TCG)")
    return Check("KVM", None, "/dev/kvm opens; after each boot of this machine the first start tries whether it works")


def port_free(address: str, port: int, ours: str | None = None) -> Check:
    what = f"port {port}"
    if ours == host_port(address, port):
        return Check(what, None, f"taken by the cloud that `moorage up` has started: it runs on {ours}")
    try:
        require_free(address, port)
    except (Conflict, Invalid) as error:
        return Check(what, False, error.message)
    return Check(what, True, f"free on {address}")
