"""The random schedule: servers boot, stop, start and go while parts die, and come to what was asked at last."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.chaos.evidence import Asked
from tests.chaos.history import STATES
from tests.chaos.plan import Death, Life, Plan
from tests.chaos.run import AWAY, Run

from moorage.domain.errors import Conflict, NotFound
from moorage.domain.ids import ServerId
from moorage.domain.server import VmState

BREATH = 3.0  # seconds: one heartbeat
ACCEPTED_WITHIN = 120.0  # seconds, a limit for hangs
ANSWERS_WITHIN = 60.0  # seconds: the switch may be dead, too


@dataclass
class Schedule:
    """One is run once."""

    run: Run
    plan: Plan
    _turns: dict[str, asyncio.Lock] = field(default_factory=dict)  # of parts

    async def go(self) -> None:
        """Returns when everything is settled, or the time for that is over, and all is cleared away."""
        begun = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for death in self.plan.deaths:
                group.create_task(self._die(death, begun))
            lives = [group.create_task(self._live(number, life, begun)) for number, life in enumerate(self.plan.lives)]
        await self.run.calm()
        for task, life in zip(lives, self.plan.lives, strict=True):
            if life.lasts:
                await self._comes_to(task.result(), life)
                await self.run.clear(task.result())

    async def _die(self, death: Death, begun: float) -> None:
        await _at(begun + death.at)
        await asyncio.gather(*[self._fall(part, death.away) for part in death.parts])

    async def _fall(self, part: str, away: float) -> None:
        """A part that is just coming back is spared: how fast that is depends on the machine, and it shall be heard."""
        turn = self._turns.setdefault(part, asyncio.Lock())
        if turn.locked():
            return
        async with turn:
            await self.run.cluster.kill(part)
            await asyncio.sleep(away)
            await self.run.cluster.start(part)
            await asyncio.sleep(BREATH)

    async def _live(self, number: int, life: Life, begun: float) -> str:
        await _at(begun + life.at)
        server = await self._boot(f"life-{number}")
        self.run.asked[ServerId(server)] = Asked(ServerId(server), life.wanted)
        for deed, pause in zip(life.deeds[1:], life.pauses, strict=True):
            await asyncio.sleep(pause)
            if deed.startswith("delete"):
                if deed == "delete":
                    await self.run.ended(server)
                await self._accepted(lambda: self.run.user.delete_server(server))
            else:
                await self._act(server, deed)
        if not life.lasts:
            await self._comes_to(server, life)
            await self.run.clear(server)
        return server

    async def _comes_to(self, server: str, life: Life) -> None:
        row = await self.run.ended(server, STATES[life.wanted])
        if row is not None and row.life.vm is VmState.ACTIVE and life.wanted == "ACTIVE":
            await self.run.answers(row, within=ANSWERS_WITHIN)

    async def _boot(self, name: str) -> str:
        """A server asked for once: after an answer that was lost it is looked for first. Raises TimeoutError."""
        async with asyncio.timeout(ACCEPTED_WITHIN):
            while True:
                with suppress(*AWAY):
                    return await self.run.ask(name)
                await asyncio.sleep(0.1)
                with suppress(*AWAY):
                    for row in (await self.run.audit.servers()).values():
                        if row.name == name:
                            return row.id

    async def _act(self, server: str, deed: str) -> None:
        """Stop or start it, once that can be: while something else is under way it is a Conflict."""
        wanted = VmState.STOPPED if deed == "stop" else VmState.ACTIVE

        async def act() -> None:
            row = await self.run.audit.server(server)
            if row is not None and row.life.task is None and row.life.vm in (wanted, VmState.ERROR):
                return  # an answer was lost
            await self.run.user.call("POST", "compute", f"/servers/{server}/action", {f"os-{deed}": None})

        await self._accepted(act)

    async def _accepted(self, ask: Callable[[], Awaitable[object]]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(ACCEPTED_WITHIN):
                while True:
                    try:
                        await ask()
                    except NotFound:
                        return
                    except (Conflict, *AWAY):
                        await asyncio.sleep(0.2)
                    else:
                        return


async def _at(when: float) -> None:
    await asyncio.sleep(max(0.0, when - asyncio.get_running_loop().time()))
