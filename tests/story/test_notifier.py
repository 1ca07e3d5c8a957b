"""Compute is told until it has heard: every answer, on virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise

import pytest
import structlog
from tests.story.faults import Fault, Faults, faulty
from tests.unit.network_rig import Facts
from tests.unit.ports import HOST, NOW, bind, new_port, report

from moorage.adapters.database.network import SqlNetworkStore
from moorage.adapters.database.network_tables import NETWORK
from moorage.adapters.database.sqlite import open_sqlite
from moorage.adapters.memory.clock import LoopClock
from moorage.domain.errors import Unavailable
from moorage.domain.events import EventName, ExternalEvent
from moorage.domain.hops import Hop
from moorage.domain.ids import NetworkId, PortId
from moorage.domain.network import Network
from moorage.domain.port import reported_down, reported_up
from moorage.domain.segments import Segment
from moorage.network.notifier import Notifier
from moorage.seams.external_events import Answer
from moorage.seams.network_store import NewPort

Script = Callable[[Sequence[ExternalEvent]], Answer]

DELETED, CHANGED = EventName.VIF_DELETED, EventName.CHANGED


def taken(events: Sequence[ExternalEvent]) -> Answer:
    return Answer(200, (200,) * len(events))


@dataclass
class Compute:
    """Answers by script, then 200 to everything; an answer takes `latency` seconds."""

    script: list[Script] = field(default_factory=list)
    latency: float = 0.001
    posts: list[tuple[float, list[tuple[str, str]]]] = field(default_factory=list)

    async def post(self, events: Sequence[ExternalEvent]) -> Answer:
        at = asyncio.get_running_loop().time()
        self.posts.append((round(at, 3), [(event.tag, event.name.removeprefix("network-")) for event in events]))
        await asyncio.sleep(self.latency)
        return (self.script.pop(0) if self.script else taken)(events)

    def said(self, port: str) -> list[float]:
        """When something of this port was sent."""
        return [at for at, events in self.posts if port in {tag for tag, _ in events}]


@dataclass
class World:
    store: SqlNetworkStore
    compute: Compute
    facts: Facts
    stop: Callable[[], object]  # the notifier, as a crash would

    async def up(self, port: str, sequence: int = 1) -> None:
        await self.store.update(PortId(port), partial(reported_up, report=report(sequence)))

    async def down(self, port: str, sequence: int = 2) -> None:
        await self.store.update(PortId(port), partial(reported_down, report=report(sequence)))

    async def why_dead(self) -> list[str]:
        return [dead.reason for dead in await self.store.dead()]

    async def is_empty(self) -> bool:
        return (await self.store.backlog()).waiting == 0


@asynccontextmanager
async def telling(*script: Script, latency: float = 0.001, ports: int = 3) -> AsyncIterator[World]:
    """A notifier at work over ports p1, p2, … that are bound and DOWN."""
    clock, facts = LoopClock(), Facts()
    store = SqlNetworkStore(open_sqlite(None, NETWORK), clock)
    network = Network(
        id=NetworkId("n1"),
        project_id=new_port().project_id,
        name="n",
        segments=(Segment(id="s1"),),
        created_at=NOW,
        updated_at=NOW,
    )
    await store.create_networks([network])
    made = [new_port(id=PortId(f"p{one}"), mac_address=f"fa:16:3e:00:00:{one:02x}") for one in range(1, ports + 1)]
    await store.create_ports([NewPort(port, then=bind) for port in made])
    compute = Compute(list(script), latency)
    notifier = Notifier(store, store, compute, clock, facts)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(notifier.run())
        await asyncio.sleep(1)
        yield World(store, compute, facts, task.cancel)
        task.cancel()


def answering(status: int, *codes: int, reason: str = "") -> Script:
    return lambda _: Answer(status, codes, reason)


def refusing(_: Sequence[ExternalEvent]) -> Answer:
    raise Unavailable("connection refused")


async def test_the_first_event_leaves_at_once_and_the_timeline_knows() -> None:
    async with telling() as world:
        await world.up("p1")
        await asyncio.sleep(0.01)
        assert world.compute.posts == [(1.0, [("p1", "vif-plugged")])]
        assert await world.is_empty()
        [fact] = world.facts.told
        assert (fact.what, fact.port, fact.generation, fact.monotonic) == (Hop.TOLD, "p1", "g1", 1.0)


async def test_events_go_together_only_when_they_come_while_a_request_is_in_flight() -> None:
    async with telling(latency=0.5) as world:
        for port in ("p1", "p2", "p3"):
            await world.up(port)
            await asyncio.sleep(0.1)
        await asyncio.sleep(2)
        assert world.compute.posts == [
            (1.0, [("p1", "vif-plugged")]),
            (1.5, [("p2", "vif-plugged"), ("p3", "vif-plugged")]),
        ]


async def all_are_up(world: World) -> None:
    ports = await world.store.bound_to(HOST)
    await world.store.update_each(dict.fromkeys(ports, partial(reported_up, report=report(1))))


async def test_a_hundred_at_most_go_together() -> None:
    async with telling(latency=0.5, ports=130) as world:
        await all_are_up(world)
        await asyncio.sleep(2)
        assert [len(events) for _, events in world.compute.posts] == [100, 30]


async def test_a_port_that_flaps_while_a_request_is_in_flight_says_only_its_last() -> None:
    async with telling(latency=0.5) as world:
        await world.up("p1", 1)
        await asyncio.sleep(0.1)
        await world.down("p1", 2)
        await world.up("p1", 3)
        await world.down("p1", 4)
        await asyncio.sleep(2)
        assert [events for _, events in world.compute.posts] == [[("p1", "vif-plugged")], [("p1", "vif-unplugged")]]


async def test_a_server_unknown_three_times_in_thirty_seconds_is_given_up() -> None:
    unknown = answering(207, 404)
    async with telling(unknown, unknown, unknown) as world:
        await world.up("p1")
        await asyncio.sleep(100)
        assert world.compute.said("p1") == [1.0, 16.001, 31.002]
        assert await world.why_dead() == ["compute knows no such server (404, three times)"]
        assert await world.is_empty()


async def test_an_old_novas_whole_404_counts_for_each_event() -> None:
    async with telling(answering(404, 404)) as world:
        await world.up("p1")
        await asyncio.sleep(0.5)
        await world.up("p2")
        await asyncio.sleep(100)
        assert world.compute.said("p1") == [1.0, 16.001]
        assert world.compute.said("p2") == [1.5]


async def test_a_server_without_a_host_is_told_again_while_the_port_is_so() -> None:
    async with telling(*[answering(207, 422)] * 5) as world:
        await world.up("p1")
        await asyncio.sleep(10)
        assert world.compute.said("p1") == [1.0, 1.101, 1.302, 1.703, 2.504, 4.105]
        assert await world.is_empty()
        assert await world.why_dead() == []


async def test_a_server_without_a_host_is_not_told_what_is_so_no_more() -> None:
    def gone(events: Sequence[ExternalEvent]) -> Answer:
        return Answer(207, (422,) * len(events))

    async with telling(gone, gone) as world:
        await world.up("p1")
        await asyncio.sleep(0.05)
        await world.store.update(PortId("p1"), lambda port: replace(port, device_id="", device_owner=""))
        await asyncio.sleep(10)
        assert world.compute.said("p1") == [1.0, 1.101]
        assert await world.why_dead() == ["the server has no host (422), and the port has moved on"]


async def test_one_bad_event_holds_up_no_other() -> None:
    async with telling(taken, answering(207, 404, 200), latency=0.1) as world:
        await world.up("p3")
        await asyncio.sleep(0.01)
        await world.up("p1")
        await world.up("p2")
        await asyncio.sleep(0.5)
        await world.down("p2")
        await asyncio.sleep(1)
        assert world.compute.said("p1") == [1.1]
        assert len(world.compute.said("p2")) == 2


async def test_an_event_that_cannot_be_read_dies_and_the_others_live() -> None:
    async with telling(taken, answering(207, 400, 200), latency=0.1) as world:
        await world.up("p3")
        await asyncio.sleep(0.01)
        await world.up("p1")
        await world.up("p2")
        await asyncio.sleep(10)
        assert await world.why_dead() == ["compute cannot read this event (400)"]
        assert await world.is_empty()


@pytest.mark.parametrize("status", [400, 413])
async def test_a_whole_request_refused_goes_one_by_one_and_the_bad_one_dies(status: int) -> None:
    def bad_with_p1(events: Sequence[ExternalEvent]) -> Answer:
        return Answer(status) if any(event.tag == "p1" for event in events) else taken(events)

    async with telling(taken, *[bad_with_p1] * 4, latency=0.1) as world:
        await world.up("p3")
        await asyncio.sleep(0.01)
        await world.up("p1")
        await world.up("p2")
        await asyncio.sleep(10)
        together = [("p1", "vif-plugged"), ("p2", "vif-plugged")]
        assert [events for _, events in world.compute.posts[1:]] == [together, together[:1], together[1:]]
        assert len(await world.why_dead()) == 1
        assert await world.is_empty()


@pytest.mark.parametrize(
    "failing",
    [*(answering(status) for status in (401, 403, 404, 409, 429, 500, 502, 503, 207, 302)), refusing],
)
async def test_what_somebody_can_mend_is_tried_for_ever_with_one_alarm(failing: Script) -> None:
    with structlog.testing.capture_logs() as logs:
        async with telling(*[failing] * 200) as world:
            await world.up("p1")
            await asyncio.sleep(600)
            assert len(world.compute.said("p1")) > 100
            assert await world.why_dead() == []
            assert not await world.is_empty()
            world.compute.script.clear()
            await asyncio.sleep(6)
            assert await world.is_empty()
    assert [entry["log_level"] for entry in logs] == ["error", "info"]


def failing_at(*ports: str, status: int = 500) -> Script:
    """Fails at every request with one of these ports' events in it."""
    return lambda events: Answer(status) if any(event.tag in ports for event in events) else taken(events)


@pytest.mark.parametrize("status", [500, 503])
async def test_an_event_that_compute_always_fails_at_holds_up_no_other(status: int) -> None:
    with structlog.testing.capture_logs() as logs:
        async with telling(taken, *[failing_at("p1", status=status)] * 1000, latency=0.1, ports=5) as world:
            await world.up("p5")
            await asyncio.sleep(0.01)
            for port in ("p1", "p2", "p3"):  # one request, while p5 is told
                await world.up(port)
            await asyncio.sleep(2)
            told = [events for _, events in world.compute.posts]
            assert [len(events) for events in told[:4]] == [1, 3, 3, 1]
            assert [("p2", "vif-plugged")] in told
            assert [("p3", "vif-plugged")] in told
            await asyncio.sleep(30)
            for port in ("p2", "p4"):  # newer news, of one that was suspected and of another
                await world.down(port) if port == "p2" else await world.up(port)
                await asyncio.sleep(0.25)
                assert world.compute.said(port)[-1] >= asyncio.get_running_loop().time() - 0.25
            assert 5 < len(world.compute.said("p1")) < 20
            waits = [later - earlier for earlier, later in pairwise(world.compute.said("p1"))]
            assert max(waits) < 5.5  # it is tried for ever
            await world.down("p1")
            world.compute.script.clear()
            await asyncio.sleep(6)
            assert world.compute.posts[-1][1] == [("p1", "vif-unplugged")]
            assert await world.is_empty()
    errors = [entry["event"] for entry in logs if entry["log_level"] == "error"]
    assert len(errors) == 2  # one when compute failed, one when the event was found that is the cause
    assert [entry["port"] for entry in logs if entry["event"].startswith("compute fails at one event")] == ["p1"]


async def test_compute_that_fails_at_everything_is_asked_at_a_bounded_rate_and_told_all_in_the_end() -> None:
    async with telling(*[answering(500)] * 10_000, ports=130) as world:
        await all_are_up(world)
        await asyncio.sleep(120)
        assert 20 < len(world.compute.posts) < 60
        world.compute.script.clear()
        await asyncio.sleep(6)
        assert await world.is_empty()
        assert {events[0][0] for _, events in world.compute.posts[-130:]} == {f"p{one}" for one in range(1, 131)}


async def test_the_order_of_a_port_holds_when_its_first_news_fails() -> None:
    async with telling(*[failing_at("p1")] * 1000) as world:
        await world.up("p1", 1)
        await asyncio.sleep(3)
        await world.store.update(PortId("p1"), lambda port: replace(port, name="x"))
        await asyncio.sleep(10)
        assert {event for _, events in world.compute.posts for event in events} == {("p1", "vif-plugged")}
        world.compute.script.clear()
        await asyncio.sleep(6)
        assert [events for _, events in world.compute.posts[-2:]] == [[("p1", "vif-plugged")], [("p1", "changed")]]


@pytest.mark.parametrize(
    ("name", "limit"),
    [(CHANGED, 60), (DELETED, 600), (EventName.VIF_UNPLUGGED, 600)],
)
@pytest.mark.parametrize("is_late", [False, True])
async def test_news_is_told_up_to_its_age_and_not_after(name: EventName, limit: int, is_late: bool) -> None:
    async with telling(*[refusing] * 10_000) as world:
        if name is EventName.VIF_UNPLUGGED:
            world.compute.script.clear()
            await world.up("p1", 1)
            await asyncio.sleep(1)
            world.compute.script += [refusing] * 10_000
            await world.down("p1", 2)
        elif name is DELETED:
            await world.store.delete_port(PortId("p1"))
        else:
            await world.store.update(PortId("p1"), lambda port: replace(port, name="x"))
        await asyncio.sleep(limit - 6)  # a try is due each 5 s
        assert await world.why_dead() == []
        if is_late:
            await asyncio.sleep(12)
        world.compute.script.clear()
        posts = len(world.compute.posts)
        await asyncio.sleep(5.5)
        assert await world.is_empty()
        if is_late:
            assert await world.why_dead() == ["it grew too old before it could be delivered"]
            assert len(world.compute.posts) == posts
        else:
            assert await world.why_dead() == []
            assert world.compute.posts[-1][1] == [("p1", name.removeprefix("network-"))]


async def test_changes_while_compute_is_away_are_told_once() -> None:
    async with telling(*[refusing] * 8) as world:
        for number in range(20):
            await world.store.update(PortId("p1"), partial(replace, name=str(number)))
            await asyncio.sleep(0.2)
        await asyncio.sleep(60)
        assert [events for _, events in world.compute.posts[8:]] == [[("p1", "changed")]]
        assert await world.is_empty()


async def test_news_that_comes_while_compute_is_away_is_told_when_it_is_back() -> None:
    async with telling(*[refusing] * 8) as world:
        await world.up("p1", 1)
        await asyncio.sleep(3)
        await world.down("p1", 2)
        await world.up("p2")
        await asyncio.sleep(60)
        assert world.compute.posts[-1][1] == [("p1", "vif-unplugged"), ("p2", "vif-plugged")]
        assert await world.is_empty()


async def test_old_news_that_nobody_needs_dies_unsent() -> None:
    async with telling(*[refusing] * 200) as world:
        await world.store.update(PortId("p1"), lambda port: replace(port, name="x"))
        await world.store.delete_port(PortId("p2"))
        await world.up("p3")
        await asyncio.sleep(70)
        assert {dead.item.event.name for dead in await world.store.dead()} == {CHANGED}
        await asyncio.sleep(600)
        assert {dead.item.event.name for dead in await world.store.dead()} == {CHANGED, DELETED}
        world.compute.script.clear()
        await asyncio.sleep(6)
        assert world.compute.posts[-1][1] == [("p3", "vif-plugged")]


async def test_a_notifier_that_was_stopped_in_the_middle_tells_again() -> None:
    async with telling(latency=5) as world:
        await world.up("p1")
        await asyncio.sleep(1)
        later = Compute()
        second = Notifier(world.store, world.store, later, LoopClock(), Facts())
        async with asyncio.TaskGroup() as group:
            task = group.create_task(second.run())
            await asyncio.sleep(1)
            task.cancel()
        assert later.posts == [(2.0, [("p1", "vif-plugged")])]


@pytest.mark.parametrize("kind", [Fault.UNAVAILABLE, Fault.LATE, Fault.LOST])
async def test_whatever_call_fails_the_news_arrives(kind: Fault) -> None:
    at = 0
    while True:
        faults = Faults(kind, at=at)
        async with telling() as world:
            again, began = Compute(), asyncio.get_running_loop().time()
            store = faulty(world.store, faults)
            second = Notifier(store, store, faulty(again, faults), LoopClock(), Facts())
            world.stop()
            async with asyncio.TaskGroup() as group:
                task = group.create_task(second.run())
                await asyncio.sleep(0.5)
                await world.up("p1")
                await asyncio.sleep(0.5)
                await world.up("p2")
                await asyncio.sleep(60)
                task.cancel()
            told = [event for _, events in again.posts for event in events]
            assert set(told) == {("p1", "vif-plugged"), ("p2", "vif-plugged")}, f"call {at} failed"
            assert len(told) <= 3, f"call {at} failed"
            if kind is not Fault.LATE:
                assert again.posts[-1][0] - began < 4, f"{faults} {again.posts}"
            assert await world.is_empty(), f"call {at} failed"
        if not faults.struck:
            return
        at += 1
