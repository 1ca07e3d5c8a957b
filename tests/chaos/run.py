"""A run under way: what is asked for, waited for and kept as evidence."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

from tests.chaos.audit import DATABASE_AWAY, Audit
from tests.chaos.cluster import Cluster, a_cluster, commands
from tests.chaos.evidence import Asked, Evidence, Reached, Snapshot
from tests.chaos.feed import Feed
from tests.chaos.holds import Holding
from tests.chaos.standing import snapshot

from moorage.adapters.netns.hypervisor import guest_name
from moorage.adapters.world.reach import ping
from moorage.app.boots import IMAGE, NETWORK
from moorage.app.client import Client, logged_in
from moorage.app.clouds_yaml import ADMIN, MEMBER, account_of
from moorage.domain.errors import MoorageError
from moorage.domain.hops import Hop
from moorage.domain.ids import ServerId, device_name
from moorage.domain.server import Server, VmState

T = TypeVar("T")
FRESH = 3.5  # seconds since the last heartbeat: nobody is taken for dead for a while
SETTLED_WITHIN = 90.0  # seconds, a limit for hangs
FLAVOR = {"id": "chaos", "name": "chaos", "vcpus": 1, "ram": 64, "disk": 0}  # of which a host can have 32
LOOK_EVERY = 0.02  # seconds
AWAY = (MoorageError, OSError, TimeoutError, *DATABASE_AWAY)


@dataclass
class Run:
    """`first` is a server that lives through all of it, from which the others are pinged."""

    cluster: Cluster
    user: Client
    feed: Feed
    audit: Audit
    first: str = ""
    before: Snapshot = field(default_factory=Snapshot)
    asked: dict[ServerId, Asked] = field(default_factory=dict)
    outcomes: dict[ServerId, Server] = field(default_factory=dict)  # as they were before they were cleared away
    reached: dict[ServerId, Reached] = field(default_factory=dict)

    @property
    def holding(self) -> Holding:
        return Holding(self.cluster, self.feed, self.audit)

    async def ask(self, name: str = "chaos") -> str:
        return await self.user.create_server(name, image=IMAGE, flavor=str(FLAVOR["id"]), network=NETWORK)

    async def until(self, look: Callable[[], Awaitable[T | None]], *, within: float = SETTLED_WITHIN) -> T | None:
        """What `look` finds at last; None when it finds nothing in time. Whoever is away is asked again."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            with suppress(*AWAY):
                found = await look()
                if found:
                    return found
            await asyncio.sleep(LOOK_EVERY)
        return None

    async def calm(self) -> None:
        """Everybody has been heard a moment ago."""

        async def is_calm() -> bool:
            ages = await self.audit.heartbeats()
            return len(ages) == 2 and max(ages) < FRESH

        assert await self.until(is_calm), "compute and agent are not heard"

    async def ended(self, server: str, *wanted: VmState) -> Server | None:
        """The server's row once nothing is under way with it, or when the time for that is over; kept as evidence.

        `wanted`: what it shall have come to by then, or ERROR.
        """

        async def look() -> Server | None:
            row = await self.audit.server(server)
            is_busy = row is None or row.life.task is not None or row.life.vm is VmState.BUILDING
            if row is None or is_busy:
                return None
            return row if not wanted or row.life.vm in (*wanted, VmState.ERROR) else None

        row = await self.until(look) or await self.until(lambda: self.audit.server(server), within=5.0)
        if row is not None:
            self.outcomes[row.id] = row
        return row

    async def answers(self, row: Server, *, within: float = 20.0) -> datetime | None:
        """When the server first answered the first one at its address; kept as evidence."""
        for nic in row.nics:
            for address in nic.addresses:
                if await self._said(row.id, address, within) and await self._pings(address, within):
                    now = datetime.now(UTC)
                    self.reached[row.id] = Reached(address, now, now)
                    return now
        return None

    async def _said(self, server: str, address: str, within: float) -> str:
        async def look() -> str | None:
            said = self.cluster.console(server)
            return said if f"address {address}" in said else None

        return await self.until(look, within=within) or ""

    async def _pings(self, address: str, within: float) -> bool:
        """From the first guest, which forgets whose the address was before."""
        for pid, words in commands():
            if any(f"guests/{self.first}" in word for word in words):
                forget = ("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "neigh", "flush", "all")
                await (await asyncio.create_subprocess_exec(*forget)).wait()
                break
        return await ping(self.cluster.world, guest_name(ServerId(self.first)), address, patience=within)

    async def clear(self, server: str) -> None:
        """Delete it, asking once; what is left after that is seen in the end."""
        if (found := self.reached.get(ServerId(server))) is not None:
            self.reached[ServerId(server)] = replace(found, until=datetime.now(UTC))

        async def is_asked() -> bool:
            await self.user.delete_server(server)
            return True

        async def is_gone() -> bool:
            row = await self.audit.server(server)
            return row is not None and row.life.vm is VmState.DELETED

        await self.until(is_asked)
        await self.until(is_gone)

    async def evidence(self) -> Evidence:
        """Once everything was cleared away and came to rest."""
        await self.calm()
        after = await snapshot(self.cluster, self.audit)
        for _ in range(60):  # what is taken down goes a moment after the word of it
            if after == self.before:
                break
            await asyncio.sleep(0.5)
            after = await snapshot(self.cluster, self.audit)
        written = await self.audit.written()
        self.feed.look()
        return Evidence(
            asked=tuple(self.asked.values()),
            servers={**await self.audit.servers(), **self.outcomes},
            deadlines=written.deadlines,
            facts={ServerId(server): tuple(facts) for server, facts in self.feed.facts.items()},
            reached=self.reached,
            writes=written.writes,
            appended=written.appended,
            removed=written.removed,
            accepted=self.feed.accepted,
            dead=await self.audit.dead(),
            before=self.before,
            after=after,
        )


@asynccontextmanager
async def a_run() -> AsyncIterator[Run]:
    """With a first server that runs."""
    async with a_cluster() as cluster:
        feed = Feed(lambda: cluster.logs)
        audit = Audit(cluster.database)
        await audit.begin()
        identity, credentials = cluster.built.layout.url("identity"), cluster.built.layout.credentials
        async with logged_in(account_of(identity, credentials[ADMIN])) as admin:
            await admin.call("POST", "compute", "/flavors", {"flavor": FLAVOR})
        async with logged_in(account_of(identity, credentials[MEMBER])) as user:
            run = Run(cluster, user, feed, audit)
            await run.calm()
            run.first = await run.ask("first")
            await feed.until(run.first, Hop.RUNNING)
            row = await run.ended(run.first)
            assert row is not None
            assert await run.answers(row)
            run.before = await snapshot(cluster, audit)
            blind = {*run.before.blind(_names(row))} - {"news"}  # which has been told
            assert not blind, f"no {', '.join(sorted(blind))} of a server that runs is seen"
            yield run


def _names(server: Server) -> list[str]:
    """What its things go by."""
    names = [server.id, guest_name(server.id)]
    for nic in server.nics:
        names += [nic.port, device_name(nic.port), nic.mac_address, *nic.addresses]
    return names
