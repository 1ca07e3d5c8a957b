"""Without root: an ordinary user's guests on real Open vSwitch and real QEMU; and what is said where that is closed."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from tests.real.guests import moorage_guest
from tests.real.ordinary_user import REPOSITORY, UsersShell, an_ordinary_users_shell, give
from tests.real.ups import Ups
from tests.shell import MOORAGE, steps

from moorage.adapters.world.living import find_living
from moorage.app import processes
from moorage.app.worlds import SOCKET
from moorage.domain.hops import HOPS

NO_ACCOUNT, NOBODY = 54321, 65534

pytestmark = pytest.mark.timeout(120)  # the first QEMU guest of a machine waits for its image to be built


@pytest.mark.parametrize(("kind", "user"), [("netns", NO_ACCOUNT), ("qemu", NOBODY)])
def test_an_ordinary_user_boots_a_guest_that_answers_and_leaves_nothing(kind: str, user: int) -> None:
    machine = set(os.listdir("/sys/class/net"))
    with an_ordinary_users_shell(user) as shell:
        assert "CapEff:\t0000000000000000" in shell.run("cat", "/proc/self/status").stdout
        if kind == "qemu":
            image = asyncio.run(moorage_guest())
            assert image.kernel is not None
            give(shell, image.kernel.parent, f".cache/moorage/{image.kernel.parent.name}")
        result = shell.json("demo", "--host-kind", kind)
        assert [hop["hop"] for hop in result["hops"]] == [hop.value for hop in HOPS]
        assert (result["server_status"], result["port_status"]) == ("ACTIVE", "ACTIVE")
        assert result["address"].startswith("10.0.0.")
        assert result["ping"] is True
        assert set(steps(result).values()) == {True}
        assert "page fetched" in steps(result)
        assert shell.left() == []
        assert processes.mentioning(shell.temporary) == []
    assert set(os.listdir("/sys/class/net")) == machine


def test_an_ordinary_user_makes_the_experiment_and_the_bench() -> None:
    with an_ordinary_users_shell(NO_ACCOUNT) as shell:
        shown = shell.json("experiment", "agent-down", "--host-kind", "netns", "--timeout", "0.5")
        assert set(steps(shown).values()) == {True}
        measured = shell.moorage("bench", "handshake", "--host-kind", "netns", "--boots", "1")
        assert measured.returncode == 0, measured.stderr
        assert shell.left() == []
        assert processes.mentioning(shell.temporary) == []


def test_an_ordinary_users_cloud_keeps_its_state_for_the_user_alone() -> None:
    with an_ordinary_users_shell(NO_ACCOUNT) as shell:
        up = shell.moorage("up", "--host-kind", "netns", "--listen", "127.0.0.1:0", "--detach")
        assert up.returncode == 0, up.stderr
        try:
            state = shell.home / "state" / "moorage"
            assert {path.lstat().st_uid for path in state.rglob("*")} == {shell.home.stat().st_uid}
            assert state.stat().st_mode & 0o077 == 0
            [holder, *_] = [pid for pid in processes.pids() if is_holder_of(pid, shell.home.stat().st_uid)]
            assert Path(f"/proc/{holder}/uid_map").read_text().split() == ["0", str(shell.home.stat().st_uid), "1"]
        finally:
            down = shell.moorage("down", "--purge")
        assert down.returncode == 0, down.stderr
        assert shell.left() == []
        assert processes.mentioning(shell.temporary) == []


async def test_what_an_ordinary_user_left_alive_is_taken_over_by_that_user_alone() -> None:
    with an_ordinary_users_shell(NO_ACCOUNT) as shell:
        ups = Ups(shell)
        try:
            ups.up()
            server, _, _ = await ups.boot()
            before, alive = await ups.seen(server), set(processes.mentioning(ups.place))
            ups.kill()
            assert await find_living(ups.place / SOCKET) is None  # root, who may do anything, is not its user
            assert "1 guest (netns) run on" in shell.moorage("status").stdout
            ups.up()
            assert await ups.seen(server) == before
            assert set(processes.mentioning(ups.place)) == alive
            ups.kill()
        finally:
            down = shell.moorage("down", "--purge")
        assert down.returncode == 0, down.stderr
        assert ups.nothing_is_left()


def is_holder_of(pid: int, user: int) -> bool:
    try:
        is_holder = b"moorage.adapters.world.holder" in Path(f"/proc/{pid}/cmdline").read_bytes()
        return is_holder and Path(f"/proc/{pid}").stat().st_uid == user
    except OSError:  # it has ended
        return False


def test_a_closed_tun_is_one_line_that_says_what_to_do() -> None:
    with an_ordinary_users_shell(NO_ACCOUNT, tun_mode=0o600) as shell:
        refused = shell.moorage("demo", "--host-kind", "netns")
        assert refused.returncode == 1
        assert refused.stderr.count("\n") == 1
        assert "as root: chmod 0666 /dev/net/tun" in refused.stderr
        doctor = shell.moorage("doctor", "--host-kind", "netns")
        assert doctor.returncode == 1
        assert "✗ privileges       /dev/net/tun is closed to this user" in doctor.stdout


def test_the_script_goes_on_with_what_is_there_and_asks_for_no_privilege() -> None:
    with an_ordinary_users_shell(NO_ACCOUNT, tun_mode=0o600) as shell:
        shown = shell.run("env", f"PATH={all_programs_but('qemu-img', shell)}", str(REPOSITORY / "script" / "demo"))
        assert shown.returncode == 0, shown.stderr
        assert shown.stderr.count("apt-get") == 1
        assert (
            "only root can install it: RUNLEVEL=1 apt-get install --no-install-recommends qemu-utils\n" in shown.stderr
        )
        assert "hosts are simulated, because qemu-img missing; /dev/net/tun is closed to this user" in shown.stdout
        assert "nothing left behind" in shown.stdout


def all_programs_but(missing: str, shell: UsersShell) -> Path:
    """A folder of what /usr/bin has, without one program."""
    folder = shell.home / "programs"
    folder.mkdir()
    for program in Path("/usr/bin").iterdir():
        if program.name != missing:
            (folder / program.name).symlink_to(program)
    return folder


HOLDER_ALONE = """
import asyncio
from moorage.adapters.world.client import HolderProcess
from moorage.domain.errors import Unavailable
async def main():
    try:
        async with HolderProcess():
            print("open")
    except Unavailable as error:
        print(error.message)
asyncio.run(main())
"""


def test_closed_user_namespaces_are_one_line_that_says_what_to_do() -> None:
    with an_ordinary_users_shell(NO_ACCOUNT) as shell:
        refused = without_user_namespaces(shell, *MOORAGE, "demo", "--host-kind", "netns")
        assert "user namespaces are closed (user.max_user_namespaces = 0)" in refused
        assert "as root: sysctl -w user.max_user_namespaces=15000" in refused
        assert refused.count("\n") == 1
        holder = without_user_namespaces(shell, sys.executable, "-c", HOLDER_ALONE)
        assert "a world cannot be made here: user namespaces are closed" in holder


def without_user_namespaces(shell: UsersShell, *command: str) -> str:
    """What a command says in a user namespace that has no right to anything, and none to make namespaces."""
    closing = """echo 0 > /proc/sys/user/max_user_namespaces  # of this user namespace alone
        exec setpriv --securebits +noroot,+noroot_locked --inh-caps -all --bounding-set -all "$@" """
    ended = shell.run("unshare", "--map-root-user", "sh", "-c", closing, "sh", *command)
    return ended.stdout + ended.stderr
