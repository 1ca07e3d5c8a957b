"""The command line of a guest's QEMU (sub-fact held): pure."""

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from moorage.seams.hypervisor import Guest, Nic

# The switch's userspace datapath neither finishes checksums nor cuts up segments that it is handed.
OFFLOADS_OFF = ",".join(
    f"{feature}=off"
    for feature in (
        *("csum", "gso", "host_tso4", "host_tso6", "host_ecn", "host_ufo"),
        *("guest_csum", "guest_tso4", "guest_tso6", "guest_ecn", "guest_ufo"),
    )
)


class Accelerator(StrEnum):
    TCG = "tcg"  # emulation: works everywhere
    KVM = "kvm"  # only where `accel.kvm_works`


@dataclass(frozen=True)
class Files:
    """Where one guest's things are; `disk` is its own overlay (qcow2), None when it boots without a disk."""

    qmp: Path
    serial: Path
    console: Path
    disk: Path | None = None


def command_line(
    guest: Guest, files: Files, *, program: str, accelerator: Accelerator, uid: int | None = None
) -> tuple[str, ...]:
    """QEMU held before its first instruction, with nothing but what is said here. With `uid` it drops root for it."""
    return (
        program,
        *("-nodefaults", "-no-user-config", "-nographic", "-S"),
        *("-name", f"guest={guest.server}", "-uuid", guest.server),
        # cloud-init looks for the metadata service when the machine calls itself so.
        *("-smbios", "type=1,manufacturer=Moorage,product=OpenStack Nova"),
        *("-machine", "pc", *_processor(guest, accelerator), "-smp", str(guest.vcpus), "-m", f"{guest.memory_mib}M"),
        *_sandbox(uid),
        *_socket("qmp", files.qmp, "-mon", "chardev=qmp,mode=control"),
        *_socket("console", files.serial, "-serial", "chardev:console", log=files.console),
        *_boot(guest, files),
        *(argument for number, nic in enumerate(guest.nics) for argument in _nic(number, nic)),
    )


def _processor(guest: Guest, accelerator: Accelerator) -> tuple[str, ...]:
    if accelerator is Accelerator.KVM:
        return ("-accel", "kvm", "-cpu", "host")
    # One thread for all processors is no slower with one. 32 MiB of translations are enough for moorage-guest and save
    # 14 MiB a guest; at 16 MiB it boots 0.3 s slower. A whole distribution wants more, and today's want x86-64-v2.
    threads = "single" if guest.vcpus == 1 else "multi"
    translations = min(max(32, guest.memory_mib // 8), 256)
    model = "max" if guest.image.disk else "qemu64"
    return ("-accel", f"tcg,thread={threads},tb-size={translations}", "-cpu", model)


def _sandbox(uid: int | None) -> tuple[str, ...]:
    # "deny" would kill QEMU when -runas gives up root; after that nothing is left to rise by, since spawn=deny.
    elevation = "deny" if uid is None else "allow"
    sandbox = ("-sandbox", f"on,obsolete=deny,elevateprivileges={elevation},spawn=deny,resourcecontrol=deny")
    return sandbox if uid is None else (*sandbox, "-runas", f"{uid}:{uid}")


def _socket(name: str, path: Path, user: str, use: str, *, log: Path | None = None) -> tuple[str, ...]:
    logging = f",logfile={_escaped(log)},logappend=on" if log else ""
    return ("-chardev", f"socket,id={name},path={_escaped(path)},server=on,wait=off{logging}", user, use)


def _boot(guest: Guest, files: Files) -> tuple[str, ...]:
    image = guest.image
    arguments: list[str] = []
    if image.kernel:
        arguments += ["-kernel", str(image.kernel)]
        if image.ramdisk:
            arguments += ["-initrd", str(image.ramdisk)]
        if image.command_line:
            arguments += ["-append", image.command_line]
    if files.disk:
        file = {"driver": "file", "filename": str(files.disk)}
        disk = {"node-name": "disk", "driver": "qcow2", "discard": "unmap", "file": file}  # said, so never probed
        number = 1 if image.kernel else 0  # QEMU gives the kernel the first place itself
        arguments += ["-blockdev", json.dumps(disk), "-device", f"virtio-blk-pci,drive=disk,bootindex={number}"]
    return tuple(arguments)


def _nic(number: int, nic: Nic) -> tuple[str, ...]:
    device = f"virtio-net-pci,netdev=nic{number},mac={nic.mac},host_mtu={nic.mtu},romfile=,{OFFLOADS_OFF}"
    return ("-netdev", f"tap,id=nic{number},ifname={nic.device},script=no,downscript=no", "-device", device)


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")
