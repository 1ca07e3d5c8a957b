"""What compute and agent of a host share: its name, its world behind the holder, the machine's Open vSwitch."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from moorage.adapters.ovsdb.switch import OvsSwitch
from moorage.adapters.world.living import LivingHolder, reach
from moorage.app.places import state_of
from moorage.app.serving.part import Runner
from moorage.app.serving.patience import for_ever
from moorage.app.serving.process import Process
from moorage.app.serving.settings import HostSettings, SwitchSettings
from moorage.domain.errors import Conflict, Unavailable
from moorage.domain.ids import HostName
from moorage.kit.alone import alone
from moorage.seams.world import World


@dataclass(frozen=True)
class Place:
    """A host, as one of its two processes finds it."""

    name: HostName
    settings: HostSettings
    world: World
    life: str  # of its world: guests that ran in an earlier one are off
    switch: OvsSwitch
    state: Path  # what it keeps

    @property
    def switch_runners(self) -> Sequence[Runner]:
        return [("switch", self.switch.run), ("bridge", self._keep_bridge)]

    async def reasons(self) -> Sequence[str]:
        """Why it is not ready."""
        try:
            await self.switch.check()
        except Unavailable as error:
            return [f"the switch: {error.message}"]
        return []

    async def _keep_bridge(self) -> None:
        await self.switch.ensure_bridge()
        await asyncio.get_running_loop().create_future()


@asynccontextmanager
async def placed(process: Process, settings: HostSettings, state_dir: Path, what: str) -> AsyncIterator[Place]:
    """The host for its process `what`, of which there is one: it ends when the holder does.

    The holder is waited for. Raises Conflict when another process is that already, Unavailable.
    """
    name = HostName(settings.name)
    state = state_of(state_dir, name)
    with ExitStack() as stack:
        _be_the_only(what, state, stack)
        holder = await for_ever("the holder", partial(reach, settings.holder))
        process.ends.append(partial(_until_gone, holder))
        place = Place(name, settings, holder.world(name), _life(settings.holder), switch_of(settings.switch), state)
        process.reasons.append(place.reasons)
        try:
            yield place
        finally:
            holder.let_go()


def switch_of(settings: SwitchSettings) -> OvsSwitch:
    return OvsSwitch(
        settings.directory,
        name=settings.bridge,
        datapath_type=settings.datapath.value,
        database=settings.database,
    )


def _be_the_only(what: str, state: Path, stack: ExitStack) -> None:
    try:
        state.mkdir(mode=0o770, parents=True, exist_ok=True)
        stack.enter_context(alone(state / f"{what}.lock"))
    except BlockingIOError as error:
        raise Conflict(f"another {what} runs on this host: {state}/{what}.lock is its") from error
    except OSError as error:
        raise Unavailable(f"{error.filename or state} cannot be used: {error.strerror}") from error


def _life(socket: Path) -> str:
    """Each holder makes its socket anew."""
    seen = socket.stat()
    return f"{seen.st_ino:x}-{seen.st_mtime_ns:x}"


async def _until_gone(holder: LivingHolder) -> None:
    """Raises Unavailable when it is: with it every guest and DHCP server of the host is, and we begin anew."""
    await holder.connection.closed()
    raise Unavailable("the holder has ended, and with it every guest and DHCP server of this host")
