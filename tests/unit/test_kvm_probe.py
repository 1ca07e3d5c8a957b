"""Whether KVM works is found out by a boot, once for each boot of the machine."""

import time
from pathlib import Path

import pytest

from moorage.adapters.qemu.accel import kvm_works
from moorage.seams.hypervisor import GuestImage

IMAGE = GuestImage(Path("/images/vmlinuz"), Path("/images/ramdisk"))


def machine(directory: Path, script: str) -> str:
    """A program in QEMU's place."""
    program = directory / "qemu"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("script", "works"),
    [
        ("printf 'moorage-guest: init is up'; exec sleep 100", True),
        ("echo KVM internal error; exit 1", False),
        ("exit 0", False),
    ],
)
async def test_it_works_when_the_guest_says_a_word(tmp_path: Path, script: str, works: bool) -> None:
    program = machine(tmp_path, script)
    assert await kvm_works(IMAGE, tmp_path / "kvm", program=program) is works
    assert await kvm_works(IMAGE, tmp_path / "kvm", program="/nothing/there") is works  # as it was found


async def test_one_that_hangs_costs_three_seconds_once(tmp_path: Path) -> None:
    program = machine(tmp_path, "sleep 8 & exec sleep 8")  # the child keeps the pipe open, whatever becomes of us
    told: list[str] = []
    began = time.monotonic()
    assert not await kvm_works(IMAGE, tmp_path / "kvm", told.append, program=program)
    assert time.monotonic() - began < 3.1
    assert not await kvm_works(IMAGE, tmp_path / "kvm", told.append, program=program)
    assert time.monotonic() - began < 3.3
    assert len(told) == 1


async def test_without_qemu_it_does_not_work(tmp_path: Path) -> None:
    assert not await kvm_works(IMAGE, tmp_path / "kvm", program="/nothing/there")


async def test_an_answer_from_before_the_machine_was_booted_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "kvm").write_text("00000000-0000-4000-8000-000000000000 works\n")
    assert not await kvm_works(IMAGE, tmp_path / "kvm", program="/nothing/there")
