"""What the network tells compute, end to end: every answer that there is, and what becomes of the news."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tests.story.clouds import Story, story, until

from moorage.adapters.http.external_events_client import HttpExternalEvents
from moorage.adapters.http.session import Session
from moorage.domain.events import EventName, ExternalEvent
from moorage.domain.ids import PortId, ServerId
from moorage.seams.external_events import Answer, ExternalEvents
from moorage.wire.messages import PortMark, Reports

Change = Callable[[Sequence[ExternalEvent]], Sequence[ExternalEvent]]
PATH = "compute/v2.1"


@dataclass
class Wire:
    """The way to compute: what was answered; another session or a change of what is sent are faults on it."""

    real: ExternalEvents
    change: Change = lambda events: events
    by: Session | None = None
    answers: list[tuple[int, dict[PortId, int]]] = field(default_factory=list)

    async def post(self, events: Sequence[ExternalEvent]) -> Answer:
        way = self.real if self.by is None else HttpExternalEvents(self.by)
        answer = await way.post(self.change(events))
        codes = dict(zip((event.tag for event in events), answer.codes, strict=False))
        self.answers.append((answer.status, codes))
        return answer

    def of(self, port: PortId) -> list[int]:
        """The codes that were answered to this port's events."""
        return [codes[port] for _, codes in self.answers if port in codes]


@dataclass
class Told:
    """A cloud with one running server, whose host is silent from then on: what is reported, the test reports."""

    cloud: Story
    wire: Wire
    server: ServerId
    network: str
    sequence: int = 0

    async def plugged(self, *servers: str) -> list[PortId]:
        """New ports of these servers, which come up together."""
        session = self.cloud.plane.session("network")
        ports = []
        for server in servers:
            wanted = {
                "network_id": self.network,
                "device_id": server,
                "device_owner": "compute:nova",
                "binding:host_id": "host-1",
                "binding:profile": {"plug_generation": "g"},
            }
            ports.append(PortId((await session.json("POST", "/v2.0/ports", {"port": wanted}))["port"]["id"]))
        self.sequence += 1
        marks = tuple(PortMark(port=port, generation="g") for port in ports)
        await self.cloud.plane.parts.bus.call(
            "network", Reports(host="host-1", epoch=1, sequence=self.sequence, up=marks)
        )
        return ports

    async def is_empty(self) -> bool:
        """Whether nothing waits to be told."""
        network = self.cloud.plane.network
        return (await network.store.backlog()).waiting == 0

    async def dead(self) -> list[dict[str, Any]]:
        admin = self.cloud.plane.session("network", "admin", "admin")
        return (await admin.json("GET", "/moorage/dead-events"))["dead_events"]  # type: ignore[no-any-return]


@asynccontextmanager
async def telling() -> AsyncIterator[Told]:
    wires: list[Wire] = []

    def around(events: ExternalEvents) -> ExternalEvents:
        wires.append(Wire(events))
        return wires[0]

    async with story(around_events=around) as cloud:
        server = await cloud.create()
        assert await cloud.settled(server, within=1.0) == "ACTIVE"
        await cloud.host.agent.stop()
        await cloud.host.slot.stop()
        made = (await cloud.network.json("POST", "/v2.0/networks", {"network": {"name": "plain"}}))["network"]
        wires[0].answers.clear()
        yield Told(cloud, wires[0], server, made["id"])


async def _gone(told: Told) -> ServerId:
    """A server that was deleted."""
    told.cloud.host.slot.start()
    await told.cloud.delete(told.server)
    assert await told.cloud.settled(told.server, within=2.0) == "gone"
    await told.cloud.host.slot.stop()
    await asyncio.sleep(1)
    told.wire.answers.clear()
    return told.server


async def _homeless(told: Told) -> str:
    """A server that no host takes."""
    admin = told.cloud.plane.session(PATH, "admin", "admin")
    flavor = {"name": "huge", "ram": 10**9, "vcpus": 1, "disk": 0, "id": "huge"}
    await admin.json("POST", "/flavors", {"flavor": flavor})
    server = await told.cloud.create("huge", flavorRef="huge")
    assert await told.cloud.settled(server, within=5) == "ERROR"
    return server


async def test_200_is_the_end() -> None:
    async with telling() as told:
        [port] = await told.plugged(told.server)
        await asyncio.sleep(0.1)
        assert told.wire.answers == [(200, {port: 200})]
        assert await told.is_empty()


async def test_404_three_times_in_thirty_seconds_for_a_deleted_server_and_admins_can_read_it() -> None:
    async with telling() as told:
        server = await _gone(told)
        [port] = await told.plugged(server)
        await asyncio.sleep(29)
        assert await told.dead() == []
        await asyncio.sleep(2)
        assert told.wire.of(port) == [404, 404, 404]
        [dead] = await told.dead()
        assert (dead["port_id"], dead["server_id"], dead["name"]) == (port, server, "network-vif-plugged")
        assert dead["reason"] == "compute knows no such server (404, three times)"
        await asyncio.sleep(30)
        assert told.wire.of(port) == [404, 404, 404]
        assert await told.is_empty()


async def test_207_has_a_code_for_each_and_one_unknown_server_holds_up_no_other() -> None:
    async with telling() as told:
        homeless = await _homeless(told)
        unknown = "99999999-9999-4999-8999-999999999999"
        lost, without, fine = await told.plugged(unknown, homeless, told.server)
        await asyncio.sleep(0.1)
        assert told.wire.answers[0] == (207, {lost: 404, without: 422, fine: 200})
        await asyncio.sleep(1)
        assert told.wire.of(fine) == [200]
        assert len(told.wire.of(without)) > 1
        assert told.wire.of(lost) == [404]


async def test_422_comes_again_while_the_port_is_so_and_dies_when_it_has_moved_on() -> None:
    async with telling() as told:
        [port] = await told.plugged(await _homeless(told))
        await asyncio.sleep(60)
        assert set(told.wire.of(port)) == {422}
        assert 10 < len(told.wire.of(port)) < 30
        assert await told.dead() == []
        store = told.cloud.plane.network.store
        await store.update(port, lambda one: replace(one, device_id="", device_owner=""))
        await asyncio.sleep(6)
        [dead] = await told.dead()
        assert dead["reason"] == "the server has no host (422), and the port has moved on"
        assert await told.is_empty()


async def test_400_for_the_whole_goes_one_by_one_and_the_bad_one_dies() -> None:
    async with telling() as told:
        bad: list[PortId] = []

        def spoil(events: Sequence[ExternalEvent]) -> Sequence[ExternalEvent]:
            bad.append(events[0].tag)
            return [replace(event, tag=PortId("t" * 256)) if event.tag == bad[0] else event for event in events]

        told.wire.change = spoil
        port, other = await told.plugged(told.server, told.server)
        await asyncio.sleep(0.1)
        assert [status for status, _ in told.wire.answers] == [400, 400, 200]
        assert told.wire.of(other) == [200]
        [dead] = await told.dead()
        assert (dead["port_id"], dead["reason"]) == (port, "compute cannot read this event (400)")


async def test_413_goes_one_by_one() -> None:
    async with telling() as told:
        told.wire.change = lambda events: [*events] * (1000 if len(events) > 1 else 1)
        ports = await told.plugged(told.server, told.server)
        await asyncio.sleep(0.5)
        assert [status for status, _ in told.wire.answers] == [413, 200, 200]
        assert [told.wire.of(port) for port in ports] == [[200], [200]]


async def _kept_until_mended(told: Told, status: int) -> None:
    [port] = await told.plugged(told.server)
    await asyncio.sleep(60)
    assert {answered for answered, _ in told.wire.answers} == {status}
    assert 10 < len(told.wire.answers) < 30
    assert await told.dead() == []
    told.wire.by = None
    await asyncio.sleep(6)
    assert told.wire.of(port) == [200]
    assert await told.is_empty()


class _NoToken:
    async def token(self, *, refused: str | None = None) -> str:
        return "stolen"


async def test_401_is_kept_until_somebody_mends_it() -> None:
    async with telling() as told:
        right = told.cloud.plane.session(PATH, "neutron")
        told.wire.by = replace(right, tokens=_NoToken())
        await _kept_until_mended(told, 401)


async def test_403_is_kept_until_somebody_mends_it() -> None:
    async with telling() as told:
        told.wire.by = told.cloud.plane.session(PATH, "demo", "demo")
        await _kept_until_mended(told, 403)


async def test_a_404_of_the_url_is_kept_until_somebody_mends_it() -> None:
    async with telling() as told:
        told.wire.by = told.cloud.plane.session("nowhere", "neutron")
        await _kept_until_mended(told, 404)


async def test_503_is_kept_until_the_bus_is_back() -> None:
    async with telling() as told:
        bus = told.cloud.plane.parts.bus
        async with asyncio.TaskGroup() as group:
            [port] = await told.plugged(told.server)
            await asyncio.sleep(1)
            assert told.wire.of(port) == [200]
            group.create_task(bus.interrupt(20))  # type: ignore[attr-defined]
            await asyncio.sleep(1)
            session = told.cloud.plane.session("network")
            await session.json("PUT", f"/v2.0/ports/{port}", {"port": {"name": "new"}})  # news of it
            await asyncio.sleep(15)
            assert {status for status, _ in told.wire.answers[1:]} == {503}
            assert not await told.is_empty()
        await asyncio.sleep(6)
        assert told.wire.of(port) == [200, 200]
        assert await told.is_empty()


async def test_a_port_that_goes_before_compute_has_heard_of_it_says_only_that() -> None:
    async with telling() as told:
        told.wire.by = told.cloud.plane.session("nowhere", "neutron")
        [port] = await told.plugged(told.server)
        await asyncio.sleep(2)
        session = told.cloud.plane.session("network")
        assert (await session.call("DELETE", f"/v2.0/ports/{port}")).status == 204
        sent: list[EventName] = []

        def listen(events: Sequence[ExternalEvent]) -> Sequence[ExternalEvent]:
            sent.extend(event.name for event in events)
            return events

        told.wire.change, told.wire.by = listen, None

        async def is_told() -> bool:
            return await told.is_empty()

        await until(is_told, within=6)
        assert sent == [EventName.VIF_DELETED]
