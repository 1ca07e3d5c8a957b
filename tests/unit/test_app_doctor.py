"""The doctor names what is missing, and the exact cure."""

import socket
from pathlib import Path

import pytest

from moorage.app.config import HostKind
from moorage.app.doctor import NEEDS, open_vswitch, packages, port_free
from moorage.app.listening import require_free
from moorage.domain.errors import Conflict, Invalid


def nothing_found(program: str) -> str | None:
    return None


def all_but_qemu(program: str) -> str | None:
    return None if program.startswith("qemu") else f"/usr/bin/{program}"


def test_simulated_hosts_need_nothing() -> None:
    assert packages(HostKind.SIMULATED, nothing_found).is_fine


def test_what_is_missing_is_cured_by_one_line() -> None:
    check = packages(HostKind.QEMU, all_but_qemu)
    assert check.is_fine is False
    assert check.found == "qemu-system-x86_64, qemu-img missing"
    assert check.cure == "RUNLEVEL=1 apt-get install --no-install-recommends qemu-system-x86 qemu-utils"


def test_netns_hosts_need_no_qemu() -> None:
    assert packages(HostKind.NETNS, all_but_qemu).is_fine
    assert not any("qemu" in package for package in NEEDS[HostKind.NETNS].values())


def test_open_vswitch_is_told_by_its_version_or_by_what_it_says(tmp_path: Path) -> None:
    def check(script: str) -> tuple[bool | None, str]:
        (tmp_path / "vswitchd").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "vswitchd").chmod(0o755)
        found = open_vswitch(lambda _: str(tmp_path / "vswitchd"))
        return found.is_fine, found.found

    assert check("echo 'ovs-vswitchd (Open vSwitch) 3.1.0'") == (
        True,
        "3.1.0; each cloud runs its own, with its datapath in user space",
    )
    assert check("echo no libunbound >&2; exit 127") == (False, f"{tmp_path}/vswitchd does not run: no libunbound")
    assert open_vswitch(nothing_found).is_fine is False


def test_a_port_in_use_is_named_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=rf"port {port} on 127\.0\.0\.1 is in use .* --listen 127\.0\.0\.1:"):
            require_free("127.0.0.1", port)
        assert port_free("127.0.0.1", port).is_fine is False
        assert port_free("127.0.0.1", port, f"127.0.0.1:{port}").is_fine is None  # our own cloud hinders nobody
    assert port_free("127.0.0.1", port).is_fine


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(Invalid, match="nothing can listen on"):
        require_free("192.0.2.1", 8780)
