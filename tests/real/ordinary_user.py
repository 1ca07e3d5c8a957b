"""An ordinary user's shell, made by root for tests: another uid, no capability, and no way to get one."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.shell import MOORAGE, Shell

REPOSITORY = Path(__file__).parents[2]
TUN = Path("/dev/net/tun")


class UsersShell(Shell):
    """Commands of this shell are run behind `way`, which turns root into the user."""

    way: Sequence[str] = ()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.way, *command],
            env=self.environ,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=self.patience,
            check=False,
        )

    def moorage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(*MOORAGE, *arguments)


@contextmanager
def an_ordinary_users_shell(uid: int, *, tun_mode: int = 0o666) -> Iterator[UsersShell]:
    """A shell of user `uid`, for whom /dev/net/tun has `tun_mode`; of ourselves when we are not root.

    The machine is not changed for it: the user lives in a mount namespace, where it sees another /dev/net/tun, and
    Python and this repository where root keeps them to itself.
    """
    with tempfile.TemporaryDirectory(prefix="mu", dir="/tmp") as top:
        home, temporary, stage = Path(top, "home"), Path(top, "t"), Path(top, "stage")
        for directory in (home, temporary, stage):
            directory.mkdir()
        shell = UsersShell(home, temporary, 60.0)
        shell.environ |= {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        shell.environ.pop("XDG_CACHE_HOME", None)
        if os.geteuid() == 0:
            shell.way = _way(uid, stage, tun_mode)
            Path(top).chmod(0o755)
            for path in (home, home / "state", temporary):
                os.chown(path, uid, uid)
        yield shell


def give(shell: UsersShell, tree: Path, place: str) -> None:
    """A copy of `tree` for the user, as `place` below its home."""
    target = shell.home / place
    shutil.copytree(tree, target)
    owner = shell.home.stat()
    for path in (*target.rglob("*"), *(parent for parent in [target, *target.parents] if shell.home in parent.parents)):
        os.chown(path, owner.st_uid, owner.st_gid)


def _way(uid: int, stage: Path, tun_mode: int) -> Sequence[str]:
    lines = [f"mknod {stage}/tun c 10 200", f"chmod {tun_mode:o} {stage}/tun", f"mount --bind {stage}/tun {TUN}"]
    return way_down(stage, ("--reuid", str(uid), "--regid", str(uid), "--clear-groups"), also=lines)


def way_down(stage: Path, who: Sequence[str], *, also: Sequence[str] = ()) -> Sequence[str]:
    """What runs a command as the user that setpriv's words `who` name, for whom Python and this repository can be read.

    In a mount namespace of its own, made with the folder `stage`; `also` is done there first.
    """
    lines = ["set -e", f"mount -t tmpfs -o mode=0755 none {stage}", *also]
    needed = [Path(sys.base_prefix).resolve(), REPOSITORY]
    for number, path in enumerate(needed):
        lines += [f"mkdir {stage}/{number}", f"mount --bind {path} {stage}/{number}"]
    for closed in {found for path in needed if (found := _closed_above(path))}:
        lines += [f"mount -t tmpfs -o mode=0755 none {closed}"]
        for number, path in enumerate(needed):
            if closed in path.parents:
                lines += [f"mkdir -p {path}", f"mount --bind {stage}/{number} {path}"]
    lines += [f'exec setpriv {" ".join(who)} --no-new-privs "$@"']
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(lines), "sh")


def _closed_above(path: Path) -> Path | None:
    """The topmost folder on the way to `path` that others may not enter."""
    return next((folder for folder in [*path.parents][::-1] if not folder.stat().st_mode & 0o001), None)
