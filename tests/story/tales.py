"""What happens to a server, as tales to be struck by faults."""

from collections.abc import Awaitable, Callable
from functools import partial

from tests.story.scenes import Scene
from tests.story.strikes import Tale

from moorage.domain.hops import Hop
from moorage.domain.server import Server, TaskState, VmState


async def _asked(scene: Scene) -> None:
    await scene.ask()


async def _active(scene: Scene) -> None:
    await scene.ask()
    assert await scene.rests() == "active"


async def _stopped(scene: Scene) -> None:
    await _active(scene)
    await _stop(scene)
    assert await scene.rests() == "stopped"


async def _stop(scene: Scene) -> None:
    def is_stopping(row: Server) -> bool:
        return row.life.task is TaskState.POWERING_OFF or row.life.vm is VmState.STOPPED

    await scene.act({"os-stop": None}, unless=is_stopping)


async def _start(scene: Scene) -> None:
    def is_starting(row: Server) -> bool:
        return row.life.task is TaskState.POWERING_ON or row.life.vm is VmState.ACTIVE

    await scene.act({"os-start": None}, unless=is_starting)


async def _paused(scene: Scene) -> None:
    await _active(scene)
    await _pause(scene)
    assert await scene.rests() == "paused"


async def _pause(scene: Scene) -> None:
    def is_pausing(row: Server) -> bool:
        return row.life.task is TaskState.PAUSING or row.life.vm is VmState.PAUSED

    await scene.act({"pause": None}, unless=is_pausing)


async def _unpause(scene: Scene) -> None:
    def is_unpausing(row: Server) -> bool:
        return row.life.task is TaskState.UNPAUSING or row.life.vm is VmState.ACTIVE

    await scene.act({"unpause": None}, unless=is_unpausing)


async def _reboot_soft(scene: Scene) -> None:
    def is_rebooting(row: Server) -> bool:
        return row.life.task is TaskState.REBOOTING

    await scene.act({"reboot": {"type": "SOFT"}}, unless=is_rebooting)


async def _reboot(scene: Scene) -> None:
    before = (await scene.row()).attempt
    await scene.act({"reboot": {"type": "HARD"}}, unless=lambda row: row.attempt > before)


async def _without_its_image(scene: Scene) -> None:
    """Its host has to fetch it."""
    directory = scene.cloud.host.equipment.images
    for path in directory.iterdir() if directory is not None else ():
        path.unlink()


async def _fails(scene: Scene) -> None:
    """The agent is down longer than anybody waits."""
    await scene.cloud.host.agent.stop()
    try:
        await scene.ask()
        await scene.rests()
    finally:
        scene.cloud.host.agent.start()


async def _delete_at(hop: Hop, scene: Scene) -> None:
    await scene.ask()
    await scene.reaches(hop)
    await scene.delete()


async def _restart_agent_at(hop: Hop, scene: Scene) -> None:
    await scene.ask()
    await scene.reaches(hop)
    agent = scene.cloud.host.agent
    await agent.stop()
    agent.start()


async def _restart_compute_at(hop: Hop, scene: Scene) -> None:
    await scene.ask()
    await scene.reaches(hop)
    compute = scene.cloud.host.slot
    await compute.stop()
    compute.start()


async def _rebuild(scene: Scene) -> None:
    row = await scene.row()
    await scene.act({"rebuild": {"imageRef": row.image}}, unless=lambda after: after.attempt > row.attempt)


def _each(what: str, act: Callable[[Hop, Scene], Awaitable[None]], hops: tuple[Hop, ...], ends: str) -> list[Tale]:
    return [Tale(f"{what} once {hop}", partial(act, hop), ends) for hop in hops]


TALES = [
    Tale("boot", _asked),
    Tale("delete", Scene.close, "deleted", _active),
    Tale("stop", _stop, "stopped", _active),
    Tale("start", _start, "active", _stopped),
    Tale("pause", _pause, "paused", _active),
    Tale("unpause", _unpause, "active", _paused),
    Tale("hard reboot", _reboot, "active", _active),
    Tale("rebuild", _rebuild, "active", _active),
    Tale("soft reboot", _reboot_soft, "active", _active),
    *_each("deleted", _delete_at, (Hop.ASKED, Hop.BOUND, Hop.PLUGGED, Hop.WIRED, Hop.HEARD), "deleted"),
    *_each("agent restarted", _restart_agent_at, (Hop.PLUGGED, Hop.SEEN, Hop.WIRED), "active"),
    *_each("compute restarted", _restart_compute_at, (Hop.BOUND, Hop.PLUGGED, Hop.WOKEN, Hop.RUNNING), "active"),
]

WITH_IMAGE = Tale("boot with an image that the host has not got", _asked, "active", _without_its_image)
FAILING = Tale("boot that its agent is too late for", _fails, "error")
