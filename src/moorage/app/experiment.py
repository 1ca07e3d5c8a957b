"""The course of each experiment: what becomes of a boot while its agent is silent, be that fatal or not."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from moorage.app import boots
from moorage.app.boots import step
from moorage.app.client import Json
from moorage.app.config import HostKind
from moorage.app.demo import Shown, demo
from moorage.app.experiments import Experiment
from moorage.app.private_cloud import Access
from moorage.app.results import Boot, Step, held_ms, told_at
from moorage.app.watching import seen, stays, when
from moorage.domain.errors import Unavailable
from moorage.domain.hops import Fact, Hop, SubFact

Tell = Callable[[Step], None]
Look = Callable[[], Awaitable[bool]]

QUIET = {HostKind.SIMULATED: 0.5, HostKind.NETNS: 2.0, HostKind.QEMU: 4.0}  # seconds that "no address" is watched
AGENT_BACK_LIMIT = 30.0  # seconds
CLEANED_LIMIT = 30.0  # seconds, beyond vif_plugging_timeout
POLL = 0.005  # seconds between two looks
CLEANED = {"guest gone": SubFact.POWERED_OFF, "OVS port gone": SubFact.UNPLUGGED}  # what tells of it


async def experiment(access: Access, which: Experiment, tell: Tell) -> Shown:
    """Run it on a fresh cloud, telling each step as it is taken."""
    match which:
        case Experiment.NORMAL:
            shown = await demo(access, kind=which.value, with_page=False)
            for taken in shown.boot.steps:
                tell(taken)
            return shown
        case Experiment.AGENT_DOWN:
            return await agent_down(access, tell)
        case Experiment.AGENT_DOWN_FATAL:
            return await agent_down_fatal(access, tell)


async def agent_down(access: Access, tell: Tell) -> Shown:
    """Not fatal: the guest runs without a network, and gets it when the agent is back, without a restart."""
    cloud = access.cloud
    steps = _Steps(tell)
    [host] = cloud.host_names()
    await cloud.stop_agent(host)
    steps.take("agent stopped", True)

    server = await boots.ask(access, Experiment.AGENT_DOWN.value)
    body = await boots.ended(access, server, every=POLL)
    steps.take("server ACTIVE", body["status"] == "ACTIVE")
    port = await _port(access, server)
    steps.take("port DOWN", port["status"] == "DOWN")

    async def has_no_address() -> bool:
        return await cloud.guest_address(server) is None

    quiet = QUIET[cloud.settings.host_kind]
    is_quiet = await stays(has_no_address, during=quiet, every=POLL)
    port = await _port(access, server)
    steps.take(
        f"no address in the guest, port still DOWN, watched for {quiet:g} s", is_quiet and port["status"] == "DOWN"
    )

    await cloud.start_agent(host)
    steps.take("agent started", True)

    async def port_is_active() -> bool:
        found = await access.admin.port(port["id"])
        return found is not None and found["status"] == "ACTIVE"

    async def has_address() -> bool:
        return not await has_no_address()

    at = await _first_times({"port ACTIVE": port_is_active, "address obtained": has_address}, limit=AGENT_BACK_LIMIT)
    facts = await boots.told(access, server, (Hop.RUNNING, Hop.WIRED, Hop.READY))
    steps.add(exact_times(at, facts, {"port ACTIVE": Hop.READY}))
    address = await cloud.guest_address(server)
    ping = None
    if address is not None:
        ping = await cloud.ping(server, address)
        steps.take("ping answered", ping)
    boot = boots.outcome(
        access,
        kind=Experiment.AGENT_DOWN.value,
        server=await access.member.server(server) or body,
        port=await access.admin.port(port["id"]),
        port_id=port["id"],
        facts=facts,
        address=address,
        ping=ping,
        steps=steps.taken,
    )
    return Shown(boot, held_ms(facts), None)


async def agent_down_fatal(access: Access, tell: Tell) -> Shown:
    """Fatal: when time is up the server is in ERROR, and nothing of it is left on the host."""
    cloud = access.cloud
    steps = _Steps(tell)
    [host] = cloud.host_names()
    await cloud.stop_agent(host)
    steps.take("agent stopped", True)

    server = await boots.ask(access, Experiment.AGENT_DOWN_FATAL.value)
    port = await _port(access, server)

    async def is_plugged() -> bool:
        return await cloud.guest_exists(server) and await cloud.switch_has_port(port["id"])

    held = await when(is_plugged, limit=cloud.settings.vif_plugging_timeout, every=POLL)
    steps.add({"guest held back, its port plugged": held})

    async def is_in_error() -> bool:
        found = await access.member.server(server)
        return found is not None and found["status"] == "ERROR" and bool(found.get("fault"))

    async def guest_is_gone() -> bool:
        return not await cloud.guest_exists(server)

    async def switch_is_clean() -> bool:
        return not await cloud.switch_has_port(port["id"])

    async def port_is_free() -> bool:
        found = await access.admin.port(port["id"])
        return found is None or not found["binding:host_id"]

    evidence = {
        "server ERROR, with its fault": is_in_error,
        "guest gone": guest_is_gone,
        "OVS port gone": switch_is_clean,
        "port unbound or deleted": port_is_free,
    }
    found = await _first_times(evidence, limit=cloud.settings.vif_plugging_timeout + CLEANED_LIMIT)
    body = await access.member.server(server)
    facts = await boots.told(access, server, (Hop.PLUGGED, *CLEANED.values()))
    steps.add(exact_times(found, facts, CLEANED))
    boot = boots.outcome(
        access,
        kind=Experiment.AGENT_DOWN_FATAL.value,
        server=body or {"id": server, "status": "DELETED"},
        port=await access.admin.port(port["id"]),
        port_id=port["id"],
        facts=facts,
        address=await cloud.guest_address(server),
        ping=None,
        steps=steps.taken,
    )
    return Shown(boot, held_ms(facts), None)


class _Steps:
    """The steps taken so far, each told as it is taken."""

    def __init__(self, tell: Tell) -> None:
        self.taken: list[Step] = []
        self._tell = tell

    def take(self, what: str, ok: bool | None) -> None:
        self._take(step(what, ok))

    def add(self, times: dict[str, datetime | None]) -> None:
        """Steps watched side by side, each with the time at which it first was true; None: it never was."""
        for what, at in times.items():
            self._take(Step(what, at, at is not None))

    def _take(self, taken: Step) -> None:
        self.taken.append(taken)
        self._tell(taken)


def seconds_since(boot: Boot, what: str, since: str) -> float | None:
    """The seconds from one step to another; None when one of them was not taken."""
    at = {step.what: step.at for step in boot.steps}
    start, end = at.get(since), at.get(what)
    return None if start is None or end is None else (end - start).total_seconds()


async def _first_times(
    checks: Mapping[str, Callable[[], Awaitable[bool]]], *, limit: float
) -> dict[str, datetime | None]:
    """When each was first seen to be so, all watched side by side."""
    async with asyncio.TaskGroup() as group:
        tasks = {what: group.create_task(when(check, limit=limit, every=POLL)) for what, check in checks.items()}
    return {what: task.result() for what, task in tasks.items()}


def exact_times(
    looked: Mapping[str, datetime | None], facts: Sequence[Fact], told: Mapping[str, Hop | SubFact]
) -> dict[str, datetime | None]:
    """When each became so: as the fact that `told` names says, but not later than it was seen.

    That it is so, our looks prove; but they are 5 ms apart and race one another, so they show no order.
    """
    times = dict(looked)
    for what, word in told.items():
        at, exact = looked[what], told_at(facts, word)
        if at is not None and exact is not None:
            times[what] = min(at, exact)
    return times


async def _port(access: Access, server: str) -> Json:
    port = await seen(lambda: boots.port_of(access, server), limit=10.0, every=POLL)
    if port is None:
        raise Unavailable(f"server {server} has got no port")
    return port
