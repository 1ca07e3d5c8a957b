"""A machine to run a host on, for tests: a network of its own with Open vSwitch, whose holder is root's as in systemd's
hands. Its clients are unprivileged users."""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from moorage.adapters.world.client import HeldWorld, HolderProcess, python_path
from moorage.adapters.world.living import LivingHolder, reach
from moorage.app.switch_start import start_switch
from moorage.domain.errors import Unavailable
from moorage.kit.retry import retry
from moorage.seams.world import World

COMPUTE, AGENT, STRANGER = 61_001, 61_002, 61_003  # users of nobody else's
GROUP, GUESTS = 61_010, 61_011  # groups: who may speak to holder and switch; what guests make is for

# As in deploy/moorage-holder.service: a test holds them together.
CAPABILITIES = (
    *("net_admin", "net_raw", "net_bind_service", "sys_admin", "sys_ptrace"),
    *("setuid", "setgid", "setpcap", "kill", "chown"),
)


class _OfGroup:
    """A world in which what is started is of the group, and what it makes is for the group as well."""

    def __init__(self, world: HeldWorld) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)

    async def start(self, name: str, argv: Sequence[str], **how: Any) -> int:
        way = ["sh", "-c", f'umask 007; exec setpriv --regid={GROUP} --clear-groups -- "$@"', "sh"]
        return await self._world.start(name, [*way, *argv], **how)


@dataclass(frozen=True)
class Machine:
    """`outer` is the way to do as root does there; nothing of it touches the real machine's network."""

    place: Path
    outer: HeldWorld

    @property
    def socket(self) -> Path:
        return self.place / "run" / "holder.sock"

    @property
    def rundir(self) -> Path:
        return self.place / "openvswitch"

    async def start_switch(self) -> None:
        """Open vSwitch as deploy/openvswitch.conf has systemd run it."""
        self.rundir.mkdir(mode=0o755)
        await start_switch(cast(World, _OfGroup(self.outer)), self.rundir)

    async def start_holder(self, *, file: Path | None = None) -> None:
        """As deploy/moorage-holder.service has it, by `file` if there is one: then with the accounts that it names."""
        bounds = ",".join(["-all", *(f"+{name}" for name in CAPABILITIES)])
        argv = ["setpriv", f"--bounding-set={bounds}", f"--inh-caps={bounds}", "--no-new-privs", "--", sys.executable]
        if file is None:
            argv += ["-m", "moorage.adapters.world.holder", "--machine", f"--socket={self.socket}", f"--group={GROUP}"]
        else:
            argv = [*self._with_accounts(), *argv, "-m", "moorage.cli.entry", "serve", "holder", f"--config={file}"]
        environment = {"PYTHONPATH": python_path(os.environ), "PATH": os.environ["PATH"]}
        await self.outer.start("holder", argv, log=self.place / "holder.log", environment=environment)
        holder = await retry(self._reached, on=Unavailable, timeout=10, first=0.02, longest=0.1)
        holder.let_go()

    async def end_holder(self) -> None:
        """What it has started ends with it."""
        await self.outer.stop("holder", patience=10)

    def _with_accounts(self) -> Sequence[str]:
        """The way to a command that finds what deploy/sysusers.conf makes; the real machine is not changed."""
        made = {
            "passwd": f"moorage-guest:x:{GUESTS}:{GUESTS}::/:/usr/sbin/nologin\n",
            "group": f"moorage-host:x:{GROUP}:\nmoorage-guest:x:{GUESTS}:\n",
        }
        lines = ["set -e"]
        for name, more in made.items():
            (self.place / name).write_text(Path("/etc", name).read_text() + more)
            lines.append(f"mount --bind {self.place}/{name} /etc/{name}")
        script = "\n".join([*lines, 'exec "$@"'])
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]

    async def _reached(self) -> LivingHolder:
        if "holder" not in await self.outer.processes():
            raise AssertionError((self.place / "holder.log").read_text())
        return await reach(self.socket)

    @asynccontextmanager
    async def as_user(self, uid: int) -> AsyncIterator[HeldWorld]:
        """The world as this user, a member of the group, has it."""
        with acting(uid):
            holder = await asyncio.wait_for(_connected(self.socket), 10)
        try:
            yield holder.world("host-1")
        finally:
            holder.let_go()


async def _connected(path: Path) -> LivingHolder:
    """Who connects is seen by the kernel at once; what is asked later comes by the same connection."""
    return await reach(path)


@contextmanager
def acting(uid: int, *groups: int) -> Iterator[None]:
    """As this user, for what is done meanwhile without waiting."""
    before = os.getgroups()
    os.setgroups([GROUP, *groups] if uid != STRANGER else [])
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


@asynccontextmanager
async def a_machine() -> AsyncIterator[Machine]:
    """Only root can make one."""
    place = Path(tempfile.mkdtemp(prefix="mm", dir="/tmp"))
    place.chmod(0o755)
    (place / "run").mkdir(mode=0o750)
    os.chown(place / "run", 0, GROUP)
    try:
        async with HolderProcess() as outer:
            yield Machine(place, outer.world("machine"))
    finally:
        shutil.rmtree(place, ignore_errors=True)
