"""A cloud spread over processes, whose parts are killed, paused and started by name."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from moorage.adapters.world.client import HeldWorld
from moorage.adapters.world.living import reach
from moorage.app import processes
from moorage.app.cluster.building import Cluster as Built
from moorage.app.cluster.building import built
from moorage.app.cluster.cloud import ready_to_boot
from moorage.app.cluster.layout import APIS, DATABASE, HOST, ON_HOST, laid_out
from moorage.app.cluster.parts import DatabasePart
from moorage.app.config import CloudSettings, HostKind
from moorage.app.private import open_area, private_place
from moorage.app.switch_start import DATABASE_SERVER, VSWITCHD

SERVED = (*(f"{api}-{number}" for api in APIS for number in (1, 2)), *ON_HOST)
DHCP = "dhcp"  # the host's DHCP servers, which are the agent's to start
PARTS = (*SERVED, DATABASE_SERVER, VSWITCHD, "rabbitmq", "postgresql", DHCP)
STARTS_WITHIN = 120.0  # seconds, a limit for hangs


@dataclass
class Cluster:
    """`world` is its host's; `dead` are the parts that were killed and not started again yet."""

    built: Built
    world: HeldWorld
    dead: set[str] = field(default_factory=set)

    @property
    def place(self) -> Path:
        return self.built.layout.place

    @property
    def logs(self) -> Sequence[Path]:
        """Of the processes that tell hops."""
        return [self.built.layout.log(part) for part in SERVED]

    @property
    def database(self) -> str:
        """Its URL."""
        part = self.built.parts["postgresql"]
        assert isinstance(part, DatabasePart)
        return part.server.url(DATABASE)

    async def kill(self, part: str) -> None:
        """SIGKILL, paused or not."""
        if part == DHCP:
            self._signal(part, signal.SIGKILL)
        elif part not in self.dead:
            await self.built.kill(part)
        self.dead.add(part)

    async def start(self, part: str) -> None:
        """Returns when it is ready."""
        if part == DHCP:
            async with asyncio.timeout(STARTS_WITHIN):
                while not self.pids(part):
                    await asyncio.sleep(0.02)
        else:
            await self.built.start(part)
        self.dead.discard(part)

    def pause(self, part: str) -> None:
        self._signal(part, signal.SIGSTOP)

    def resume(self, part: str) -> None:
        self._signal(part, signal.SIGCONT)

    def pids(self, part: str) -> Sequence[int]:
        """Its processes that live."""
        if part != DHCP:
            return self.built.parts[part].pids()
        ours = f"-C{self.place}"
        return [
            pid for pid, words in commands() if words[0] == "dnsmasq" and any(one.startswith(ours) for one in words)
        ]

    def _signal(self, part: str, number: signal.Signals) -> None:
        for pid in self.pids(part):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def console(self, server: str) -> str:
        """What a guest has said."""
        log = self.built.layout.folder("c") / "hosts" / HOST / "guests" / server / "console.log"
        return log.read_text(errors="replace") if log.exists() else ""


def commands() -> list[tuple[int, list[str]]]:
    """The command lines of all processes."""
    found = []
    for pid in processes.pids():
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
            found.append((pid, words))
    return found


@asynccontextmanager
async def a_cluster() -> AsyncIterator[Cluster]:
    """With a host of kind netns, an image and a network."""
    async with AsyncExitStack() as stack:
        place = stack.enter_context(private_place(open_area()))
        settings = CloudSettings(state_dir=place / "c", host_kind=HostKind.NETNS)
        layout = laid_out(settings)
        found = await stack.enter_async_context(built(layout, lambda _: None))
        await ready_to_boot(layout)
        holder = await reach(layout.holder)
        stack.callback(holder.let_go)
        cluster = Cluster(found, holder.world(HOST))
        for part in PARTS:
            stack.callback(cluster.resume, part)  # whatever was paused can end
        yield cluster
