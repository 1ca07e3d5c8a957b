"""What can be seen of a cloud from outside: its log lines, its health, its numbers."""

import asyncio
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
import structlog
from structlog.testing import LogCapture
from tests.story.clouds import Story, story, until
from tests.story.faults import Faults

from moorage.adapters.http.transport import InProcess, Reply
from moorage.adapters.memory.metrics import MemoryMetrics
from moorage.domain.events import ExternalEvent
from moorage.domain.hops import HOPS, Hop
from moorage.domain.ids import ServerId
from moorage.seams.external_events import Answer, ExternalEvents

Line = MutableMapping[str, Any]


@contextmanager
def log_lines() -> Iterator[list[Line]]:
    """What is logged inside, with what is bound to the context."""
    kept = LogCapture()
    processors = structlog.get_config()["processors"]
    before = list(processors)
    processors[:] = [structlog.contextvars.merge_contextvars, kept]  # in place: loggers may have been cached
    try:
        yield kept.entries
    finally:
        processors[:] = before


async def get(cloud: Story, path: str) -> Reply:
    return await InProcess(cloud.plane.app).request("GET", f"http://moorage{path}", {})


def hop_lines(lines: list[Line], server: ServerId) -> dict[str, Line]:
    """Of each hop its first line."""
    found: dict[str, Line] = {}
    for line in lines:
        if line.get("server") == server and "hop_number" in line:
            found.setdefault(line["hop"], line)
    return found


async def test_the_ten_hops_of_a_boot_are_ten_lines_with_one_request_id() -> None:
    with log_lines() as lines:
        async with story() as cloud:
            servers = [await cloud.create(f"web-{number}") for number in range(3)]
            for server in servers:
                assert await cloud.settled(server, within=5) == "ACTIVE"
            ports = {server: (await cloud.port(server))["id"] for server in servers}
            rows = {server: await cloud.plane.compute.store.show(server, project=None) for server in servers}
    for server in servers:
        told = hop_lines(lines, server)
        assert [told[hop.value]["hop_number"] for hop in HOPS] == list(range(1, 11))
        assert {line["request_id"] for line in told.values()} == {rows[server].request_id}
        for hop in HOPS:
            assert told[hop.value].get("host") == (None if hop is Hop.ASKED else "host-1") or hop is Hop.TOLD
            has_port = hop not in (Hop.ASKED, Hop.RUNNING)
            assert told[hop.value].get("port") == (ports[server] if has_port else None)
    assert len({row.request_id for row in rows.values()}) == 3


async def test_a_warning_of_a_boot_bears_server_host_and_request() -> None:
    with log_lines() as lines:
        async with story(timeout=2.0) as cloud:
            await cloud.host.agent.stop()
            server = await cloud.create()
            assert await cloud.settled(server, within=20) == "ERROR"
            row = await cloud.plane.compute.store.show(server, project=None)
    [line] = [line for line in lines if line["event"] == "a server could not be brought up"]
    assert (line["server"], line["host"], line["request_id"]) == (server, "host-1", row.request_id)


async def test_a_call_inside_the_process_leaves_its_callers_log_lines_as_they_were() -> None:
    async with story() as cloud:
        with structlog.contextvars.bound_contextvars(request_id="req-mine", server="web"):
            await get(cloud, "/identity/v3")
            await cloud.ports("nobody")
            bound = structlog.contextvars.get_contextvars()
            assert (bound["request_id"], bound["server"]) == ("req-mine", "web")


async def test_a_cloud_is_alive_and_ready() -> None:
    async with story() as cloud:
        assert (await get(cloud, "/healthz")).status == 200
        ready = await get(cloud, "/readyz")
        assert (ready.status, msgspec.json.decode(ready.body)) == (200, {"ready": True, "reasons": []})


async def reasons(cloud: Story) -> list[str]:
    reply = await get(cloud, "/readyz")
    body = msgspec.json.decode(reply.body)
    assert reply.status == (503 if body["reasons"] else 200)
    assert body["ready"] is not bool(body["reasons"])
    return list(body["reasons"])


async def test_a_silent_agent_is_a_reason_not_to_be_ready() -> None:
    async with story(hosts=2) as cloud:
        await cloud.host.agent.stop()

        async def is_said() -> bool:
            return [reason.split(":")[0] for reason in await reasons(cloud)] == ["the agent of 1 of 2 hosts is silent"]

        await until(is_said, within=15)
        assert (await get(cloud, "/healthz")).status == 200
        cloud.host.agent.start()

        async def is_ready() -> bool:
            return not await reasons(cloud)

        await until(is_ready, within=5)


class Deaf:
    """A compute that takes no events until it is told to."""

    def __init__(self, real: ExternalEvents) -> None:
        self._real = real
        self.hears = False

    async def post(self, events: list[ExternalEvent]) -> Answer:
        return await self._real.post(events) if self.hears else Answer(503, reason="not now")


async def test_events_that_compute_does_not_take_are_a_reason_and_are_counted() -> None:
    deaf: list[Deaf] = []

    def around(real: ExternalEvents) -> ExternalEvents:
        deaf.append(Deaf(real))
        return deaf[0]  # type: ignore[return-value]

    async with story(around_events=around) as cloud:
        server = await cloud.create()
        assert await cloud.settled(server, within=10) == "ACTIVE"  # by a look
        assert await reasons(cloud) == ["compute does not take the network's events"]
        await asyncio.sleep(5)
        levels = await cloud.plane.health.levels()
        assert levels.outbox_waiting == 1
        assert levels.outbox_oldest >= 5
        deaf[0].hears = True

        async def is_ready() -> bool:
            return not await reasons(cloud)

        await until(is_ready, within=10)
        assert (await cloud.plane.health.levels()).outbox_waiting == 0


async def test_a_boot_is_measured_hop_by_hop() -> None:
    async with story() as cloud:
        server = await cloud.create()
        assert await cloud.settled(server, within=5) == "ACTIVE"
        metrics = cloud.plane.parts.metrics
        assert isinstance(metrics, MemoryMetrics)
        assert {f"hop {hop.value}" for hop in HOPS[1:]} <= set(metrics.times)
        hops = cloud.hops(server)
        assert metrics.times["handshake"] == pytest.approx([hops[Hop.RUNNING] - hops[Hop.PLUGGED]])
        assert metrics.times["hop wired"] == pytest.approx([hops[Hop.WIRED] - hops[Hop.SEEN]])
        assert metrics.counts["compute", "POST", "202"] == 1
        assert metrics.counts["network", "POST", "201"] >= 1
        reply = await get(cloud, "/metrics")
        assert reply.status == 200


async def test_open_waits_are_shown_while_they_last() -> None:
    async with story(faults=Faults()) as cloud:
        cloud.plane.health.waits.append(lambda: len(cloud.host.compute.boot.expectations.awaited()))
        await cloud.host.agent.stop()
        await cloud.create()

        async def is_awaited() -> bool:
            return (await cloud.plane.health.levels()).waits_open == 1

        await until(is_awaited, within=5)
