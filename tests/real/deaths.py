"""Who dies at which hop of a boot: the victim is killed while that hop is told, before anything else can happen."""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from moorage.app import boots, processes
from moorage.app.all_in_one import AllInOne
from moorage.app.private_cloud import Access
from moorage.domain.hops import HOPS, Fact, Hop

AT = (Hop.BOUND, Hop.PLUGGED, Hop.SEEN, Hop.WIRED, Hop.READY, Hop.RUNNING)
WITHIN = 20.0  # seconds


@dataclass
class Deaths:
    """Kills one victim at one hop of the next boot in a cloud with one host."""

    cloud: AllInOne
    access: Access
    first: str = ""  # a server that runs
    hops: list[Hop] = field(default_factory=list)  # that had been told of the boot when the victim was killed
    _known: set[str | None] = field(default_factory=lambda: {None})
    _armed: tuple[str, Hop] | None = None
    _told: list[Hop] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cloud.plane.observed.listeners.append(self._hear)

    async def boot(self, victim: str = "", hop: Hop = Hop.RUNNING) -> str:
        """A server in whose boot the victim dies at the hop."""
        self._told.clear()
        self.hops.clear()
        self._armed = (victim, hop) if victim else None
        server = await boots.ask(self.access, f"{victim or 'nobody'}-{hop}")
        if victim:
            async with asyncio.timeout(WITHIN):
                while self._armed is not None:
                    await asyncio.sleep(0.001)
        self._known.add(server)
        return server

    def _hear(self, fact: Fact) -> None:
        if fact.server in self._known or not isinstance(fact.what, Hop):
            return
        self._told.append(fact.what)
        if self._armed is not None and fact.what is self._armed[1]:
            victim, _ = self._armed
            self._armed = None
            self.hops = list(self._told)
            self.kill(victim, str(fact.server))

    def kill(self, victim: str, server: str = "") -> None:
        """At once; a guest is that of the server."""
        [host] = self.cloud.hosts
        if victim == "agent":
            host.agent.restart()
        elif victim == "compute":
            host.slot.restart()
        else:
            self.signal(victim, signal.SIGKILL, server)

    def signal(self, victim: str, number: signal.Signals, server: str = "") -> None:
        groups: set[int] = set()
        while not groups:  # one that just begins has no name for a moment
            groups = _groups(victim, server, self.cloud.settings.state_dir)
        for group in groups:
            os.killpg(group, number)

    def fell_at(self, hop: Hop) -> bool:
        """Whether the victim was killed at this hop."""
        return fell_at(hop, self.hops)

    async def settled(self, server: str, *status: str | None) -> bool:
        """Whether the server and its port come to this status in time."""
        try:
            async with asyncio.timeout(WITHIN):
                while await self.seen(server) != status:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            return False
        return True

    async def seen(self, server: str) -> tuple[str | None, str | None]:
        found, port = await self.access.admin.server(server), await self.access.admin.port_of(server)
        return None if found is None else found["status"], None if port is None else port["status"]


def fell_at(hop: Hop, told: Sequence[Hop]) -> bool:
    """Whether of all hops that had been told this was the last, and none that comes later was among them."""
    return told[-1] is hop and not set(HOPS[HOPS.index(hop) + 1 :]) & set(told)


def _groups(victim: str, server: str, state: Path) -> set[int]:
    """The process groups of those who are the victim: a guest has several processes, which come and go."""
    found = set()
    for pid in processes.pids():
        if _is(victim, server, state, pid):
            with suppress(ProcessLookupError):
                found.add(os.getpgid(pid))
    return found


def _is(victim: str, server: str, state: Path, pid: int) -> bool:
    """Whether a process is the victim; `state` is where its cloud is, and `server` whose guest it is."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    if not any(os.fsencode(state) in word for word in words):
        return False
    program = words[0].decode()
    if victim == "guest":
        return any(server.encode() in word for word in words)
    return program == victim
