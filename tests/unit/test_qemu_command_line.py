"""What QEMU is started with."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from moorage.adapters.qemu.command_line import Accelerator, Files, command_line
from moorage.domain.ids import PortId, ServerId
from moorage.seams.hypervisor import Guest, GuestImage, Nic

SERVER = ServerId("5e000000-0000-4000-8000-000000000001")
NICS = (
    Nic(PortId("p1"), "fa:16:3e:00:00:01", "tap1", mtu=1450),
    Nic(PortId("p2"), "fa:16:3e:00:00:02", "tap2"),
)
GUEST = Guest(
    SERVER,
    "web,romfile=/etc/passwd",
    vcpus=1,
    memory_mib=96,
    disk_gib=0,
    image=GuestImage(Path("/images/vmlinuz"), Path("/images/ramdisk"), command_line="console=ttyS0 quiet"),
    nics=NICS,
)
FILES = Files(Path("/run/a.qmp"), Path("/run/a.serial"), Path("/state/a, b/console.log"))


def built(guest: Guest = GUEST, files: Files = FILES, **options: object) -> list[str]:
    settings = {"program": "qemu-system-x86_64", "accelerator": Accelerator.TCG, **options}
    return list(command_line(guest, files, **settings))  # type: ignore[arg-type]


def values(argv: list[str], option: str) -> list[str]:
    return [value for name, value in pairwise(argv) if name == option]


def test_it_starts_held_with_nothing_that_was_not_asked_for() -> None:
    argv = built()
    assert argv[0] == "qemu-system-x86_64"
    assert {"-S", "-nodefaults", "-no-user-config", "-nographic"} <= set(argv)


def test_a_kernel_is_booted_with_its_ramdisk_and_command_line() -> None:
    argv = built()
    assert values(argv, "-kernel") == ["/images/vmlinuz"]
    assert values(argv, "-initrd") == ["/images/ramdisk"]
    assert values(argv, "-append") == ["console=ttyS0 quiet"]
    assert "-blockdev" not in argv


def test_each_nic_is_a_tap_in_order_with_no_offloads() -> None:
    argv = built()
    assert [value.split(",")[2] for value in values(argv, "-netdev")] == ["ifname=tap1", "ifname=tap2"]
    assert all("script=no,downscript=no" in value for value in values(argv, "-netdev"))
    first, second = values(argv, "-device")
    assert "mac=fa:16:3e:00:00:01,host_mtu=1450" in first
    assert "mac=fa:16:3e:00:00:02,host_mtu=1500" in second
    for offload in ("csum=off", "gso=off", "host_tso4=off", "guest_tso6=off"):
        assert offload in first.split(",")


def test_no_word_of_the_users_is_read_as_an_option() -> None:
    assert not any("web" in argument for argument in built())


def test_a_comma_in_a_path_is_no_end_of_a_value() -> None:
    assert "logfile=/state/a,, b/console.log,logappend=on" in values(built(), "-chardev")[1]


def test_a_disk_has_its_format_said_and_boots_first() -> None:
    disk = Path("/state/a, b/disk.qcow2")
    argv = built(replace(GUEST, image=GuestImage(disk=Path("/images/disk"))), replace(FILES, disk=disk))
    [blockdev] = values(argv, "-blockdev")
    assert json.loads(blockdev)["driver"] == "qcow2"
    assert json.loads(blockdev)["file"] == {"driver": "file", "filename": str(disk)}
    assert "virtio-blk-pci,drive=disk,bootindex=0" in values(argv, "-device")
    assert "-kernel" not in argv


def test_emulation_is_said_and_never_chosen_by_qemu() -> None:
    assert values(built(), "-accel") == ["tcg,thread=single,tb-size=32"]
    assert values(built(replace(GUEST, vcpus=2, memory_mib=2048)), "-accel") == ["tcg,thread=multi,tb-size=256"]
    assert values(built(accelerator=Accelerator.KVM), "-accel") == ["kvm"]
    assert values(built(accelerator=Accelerator.KVM), "-cpu") == ["host"]


def test_it_is_in_a_sandbox_and_gives_up_root_when_told() -> None:
    [sandbox] = values(built(), "-sandbox")
    assert sandbox == "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
    assert "-runas" not in built()
    argv = built(uid=64_000)
    assert values(argv, "-runas") == ["64000:64000"]
    assert "spawn=deny" in values(argv, "-sandbox")[0]
