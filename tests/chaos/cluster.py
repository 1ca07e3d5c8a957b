"""A cloud spread over processes, two of each API, whose parts are killed, paused and started by name."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.rabbitmq import restart
from tests.real.hosting import HOST, Cloud, a_cloud
from tests.real.serving import APIS, ON_HOSTS, Served

from moorage.app.switch_start import DATABASE_SERVER, VSWITCHD

PAIRS = tuple(f"{api}-{number}" for api in APIS for number in (1, 2))
SERVED = (*PAIRS, *ON_HOSTS)
SWITCH = (DATABASE_SERVER, VSWITCHD)
PARTS = (*SERVED, *SWITCH, "rabbitmq", "postgresql", "dhcp")
SERVES_WITHIN = 150.0  # seconds, a limit for hangs; it takes one on a quiet machine


@dataclass
class Cluster:
    """`served` are the processes by name; `dead` are the parts that were killed and not started again yet."""

    cloud: Cloud
    served: dict[str, Served] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    _logs: list[Path] = field(default_factory=list)

    @property
    def logs(self) -> Sequence[Path]:
        """Of all served processes that ever were."""
        return self._logs

    async def begin(self) -> None:
        """All of it, ready."""
        await self.cloud.machine.start_switch()
        await self.cloud.machine.start_holder()
        for part in SERVED:
            await self._launch(part)
        await asyncio.gather(*map(self._serves, SERVED))
        await self.cloud.spread.ready(*APIS, *ON_HOSTS)

    async def kill(self, part: str) -> None:
        """SIGKILL, paused or not."""
        if part in self.dead:
            return
        if part == "rabbitmq":
            self.cloud.broker.stop()
        elif part == "postgresql":
            self.cloud.database.kill()
        else:
            self._signal(part, signal.SIGKILL)
            if part in self.served:
                await self.served[part].process.wait()
        if part in SWITCH:
            async with asyncio.timeout(SERVES_WITHIN):
                while part in await self.cloud.machine.outer.processes():
                    await asyncio.sleep(0.01)
        self.dead.add(part)

    async def start(self, part: str) -> None:
        """Returns when it serves. DHCP servers are the agent's to start."""
        if part == "rabbitmq":
            await asyncio.to_thread(restart, self.cloud.broker)
        elif part == "postgresql":
            await asyncio.to_thread(self.cloud.database.start)
        elif part in SWITCH:
            await self.cloud.machine.start_switch()
        elif part in SERVED:
            await self._launch(part)
            await self._serves(part)
        elif part == "dhcp":
            async with asyncio.timeout(SERVES_WITHIN):
                while not self.pids(part):
                    await asyncio.sleep(0.02)
        self.dead.discard(part)

    def pause(self, part: str) -> None:
        self._signal(part, signal.SIGSTOP)

    def resume(self, part: str) -> None:
        self._signal(part, signal.SIGCONT)

    def pids(self, part: str) -> list[int]:
        """Its processes that live."""
        if part in self.served:
            process = self.served[part].process
            return [process.pid] if process.returncode is None else []
        if part == "rabbitmq":
            return [] if part in self.dead else [self.cloud.broker.pid]
        if part == "postgresql":
            return [] if part in self.dead else list(self.cloud.database.processes())
        if part in SWITCH:
            return self._found(part, "--unixctl=")
        return self._found("dnsmasq", "-C") if part == "dhcp" else []

    def _signal(self, part: str, number: signal.Signals) -> None:
        for pid in self.pids(part):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _found(self, program: str, word: str) -> list[int]:
        """Processes of this program that have a file of this cloud's behind `word`."""
        ours = f"{word}{self.cloud.machine.place}"
        return [pid for pid, words in commands() if words[0] == program and any(one.startswith(ours) for one in words)]

    async def _launch(self, part: str) -> None:
        served = await self.cloud.start(part.removesuffix("-1").removesuffix("-2"))
        self.cloud.spread.running = [one for one in self.cloud.spread.running if one.process.returncode is None]
        self.served[part] = served
        self._logs.append(served.log)

    async def _serves(self, part: str) -> None:
        served, until = self.served[part], time.monotonic() + SERVES_WITHIN
        while '"event": "serving"' not in served.log.read_text():
            assert served.process.returncode is None, f"{part} ended: {served.log.read_text()[-2000:]}"
            assert time.monotonic() < until, f"{part} does not serve: {served.log.read_text()[-2000:]}"
            await asyncio.sleep(0.02)

    def console(self, server: str) -> str:
        """What a guest has said."""
        log = self.cloud.machine.place / "c" / "hosts" / HOST / "guests" / server / "console.log"
        return log.read_text(errors="replace") if log.exists() else ""


def commands() -> list[tuple[int, list[str]]]:
    """The command lines of all processes."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
                found.append((int(entry.name), words))
    return found


@asynccontextmanager
async def a_cluster() -> AsyncIterator[Cluster]:
    async with a_cloud() as cloud:
        cluster = Cluster(cloud)
        try:
            await cluster.begin()
            yield cluster
        finally:
            for part in PARTS:
                with suppress(AssertionError):
                    cluster.resume(part)
