"""Which users guests' QEMUs run as."""

from pathlib import Path

from moorage.adapters.qemu.users import COUNT, FIRST, SHARE, guest_uids

ALL = "         0          0 4294967295\n"


def test_a_host_has_room_for_a_thousand_guests_beyond_all_users() -> None:
    found = guest_uids(Path("/state/hosts/host-1/guests"), ALL)
    assert found is not None
    assert len(found) == SHARE
    assert FIRST <= found.start < found.stop <= FIRST + COUNT
    assert found == guest_uids(Path("/state/hosts/host-1/guests"), ALL)


def test_hosts_seldom_share_users() -> None:
    shares = {guest_uids(Path(f"/state-{number}/hosts/host-1/guests"), ALL) for number in range(64)}
    assert len(shares) > 32


def test_a_namespace_without_those_users_has_none_for_guests() -> None:
    for uid_map in ("0 100000 65536\n", "0 1000 1\n", "", "0 0 400001\n"):
        assert guest_uids(Path("/guests"), uid_map) is None
    assert guest_uids(Path("/guests"), "0 1000 1\n1 100000 4000000\n") is not None
