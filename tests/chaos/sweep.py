"""The single-fault sweep: each victim killed at each hop of a boot of its own, and what that cost."""

import asyncio
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.chaos.cells import VICTIMS, Cell
from tests.chaos.evidence import Asked
from tests.chaos.run import Run

from moorage.domain.hops import HOPS, Hop
from moorage.domain.ids import ServerId

TRIES = 3  # for a cell whose kill did not fall where it should
UNHURT = 3  # boots that nobody dies in, by which is measured what a death costs


Times = Mapping[str, datetime]  # when each hop of a boot was first told: by the timeline, or else by a dead one's log


@dataclass(frozen=True)
class Usual:
    """How long it usually takes from each hop until the guest runs, and from then on until it answers."""

    left: Mapping[Hop, timedelta]
    answered: timedelta


@dataclass
class Sweep:
    run: Run
    usual: Usual

    async def cell(self, hop: Hop, victim: str) -> Cell:
        cell = await self._once(hop, victim)
        for _ in range(TRIES - 1):
            if cell.counted:
                break
            cell = await self._once(hop, victim)
        return cell

    async def _once(self, hop: Hop, victim: str) -> Cell:
        run = self.run
        await run.calm()
        async with run.holding.at(hop, run.ask) as server:
            run.asked[ServerId(server)] = Asked(ServerId(server), "ACTIVE", is_single=True)
            parts = VICTIMS[victim] or (await self._notifier(server),)
            killed = datetime.now(UTC)
            await asyncio.gather(*map(run.cluster.kill, parts))
            dead = datetime.now(UTC)
        restarted, answered = await asyncio.gather(self._restarted(parts), self._answered(server))
        restart = (restarted - killed).total_seconds()
        run.feed.look()
        times = {**run.feed.firsts(server), **await run.audit.told(server)}
        delay = self._delay(times, hop, killed, answered)
        await run.clear(server)
        return Cell(hop, victim, fell(times, hop, killed, dead), delay, restart)

    async def _restarted(self, parts: Sequence[str]) -> datetime:
        await asyncio.gather(*map(self.run.cluster.start, parts))
        return datetime.now(UTC)

    async def _answered(self, server: str) -> datetime | None:
        row = await self.run.ended(server)
        return None if row is None else await self.run.answers(row)

    def _delay(self, times: Times, hop: Hop, killed: datetime, answered: datetime | None) -> float | None:
        ran = times.get(Hop.RUNNING)
        if answered is None or ran is None:
            return None
        if hop is Hop.RUNNING:
            return max(0.0, (answered - killed - self.usual.answered).total_seconds())
        return max(0.0, (ran - killed - self.usual.left[hop]).total_seconds())

    async def _notifier(self, server: str) -> str:
        """The network process that tells this boot's news: it did, or is held back from it; or else one of the two."""
        run = self.run
        told = run.feed.tellers.get((server, Hop.TOLD))
        for part in VICTIMS["network API"]:
            if told is not None and run.cluster.built.layout.log(part) == told:
                return part
        takers = await run.audit.takers()
        if takers:
            ends = other_ends(takers)
            for part in VICTIMS["network API"]:
                if ends & set(run.cluster.pids(part)):
                    return part
        return VICTIMS["network API"][len(run.asked) % 2]


def fell(times: Times, hop: Hop, killed: datetime, dead: datetime) -> bool:
    """Whether what was killed in this time fell after this hop and before the next that was told."""
    at, later = times.get(hop), HOPS[HOPS.index(hop) + 1 :]
    if at is None or killed < at:
        return False
    after = next((times[one] for one in later if one in times), None)
    return not later if after is None else dead <= after


def other_ends(pids: Sequence[int]) -> set[int]:
    """The processes that hold the other ends of these processes' Unix sockets."""
    said = subprocess.run(["ss", "-xpH"], capture_output=True, text=True, check=True).stdout
    holders, peers = dict[str, set[int]](), dict[str, str]()
    for line in said.splitlines():
        words = line.split()
        holders[words[5]] = {int(part.partition("pid=")[2].partition(",")[0]) for part in line.split("(")[2:]}
        peers[words[5]] = words[7]
    mine = [peers[end] for end, owners in holders.items() if owners & set(pids)]
    return {pid for end in mine for pid in holders.get(end, ())}


async def usual(run: Run, boots: int) -> Usual:
    """Boots that nobody dies in."""
    left: dict[Hop, list[timedelta]] = {hop: [] for hop in HOPS}
    answered: list[timedelta] = []
    for _ in range(boots):
        await run.calm()
        server = await run.ask()
        run.asked[ServerId(server)] = Asked(ServerId(server), "ACTIVE", is_single=True)
        ran = (await run.feed.until(server, Hop.RUNNING)).wall
        row = await run.ended(server)
        at = None if row is None else await run.answers(row)
        assert at is not None, f"server {server} does not boot when all is well"
        answered.append(at - ran)
        for hop in HOPS:
            left[hop].append(ran - run.feed.firsts(server).get(hop, ran))
        await run.clear(server)
    return Usual({hop: _middle(times) for hop, times in left.items()}, _middle(answered))


def _middle(times: Sequence[timedelta]) -> timedelta:
    return sorted(times)[len(times) // 2]


async def sweep(
    run: Run, cells: Sequence[tuple[Hop, str]], tell: Callable[[Cell], None], *, unhurt: int = UNHURT
) -> list[Cell]:
    sweeping = Sweep(run, await usual(run, unhurt))
    found = []
    for hop, victim in cells:
        found.append(await sweeping.cell(hop, victim))
        tell(found[-1])
    return found
