"""POST os-server-external-events: every answer that there is, and what reaches the hosts (hop heard)."""

import asyncio
from typing import Any

import pytest
from tests.unit.compute_rig import PORT, Cloud, cloud

from moorage.domain.errors import Unavailable
from moorage.domain.server import status
from moorage.wire.messages import HostEvent, HostEvents, Message

PATH = "/v2.1/os-server-external-events"
UNKNOWN = "99999999-9999-4999-8999-999999999999"


def plugged(server: str, **more: Any) -> dict[str, Any]:
    return {"name": "network-vif-plugged", "server_uuid": server, "tag": PORT, **more}


async def post(compute: Cloud, *events: dict[str, Any], token: str = "service", version: str | None = None) -> Any:
    return await compute.call("POST", PATH, {"events": list(events)}, token=token, version=version)


async def booted(compute: Cloud) -> str:
    server = await compute.boot()
    await compute.until(server, "ACTIVE")
    return server


async def test_an_accepted_event_reaches_the_host_and_is_a_fact() -> None:
    async with cloud() as compute:
        host = await compute.start_host("h1")
        server = await booted(compute)
        answer = await post(compute, plugged(server, status="completed"))
        assert answer.status_code == 200
        assert answer.json == {"events": [plugged(server, status="completed", code=200)]}
        await asyncio.sleep(0.1)
        [heard] = [fact for fact in compute.told.facts if fact.what == "heard"]
        record = await compute.record(server)
        assert (heard.server, heard.port, heard.host, heard.generation) == (server, PORT, "h1", record.generation)
        [message] = host.events
        assert [(event.server, event.name, event.port, event.status) for event in message.events] == [
            (server, "network-vif-plugged", PORT, "completed")
        ]


async def test_the_status_of_the_answer_is_the_outcome_whatever_was_sent() -> None:
    async with cloud("h1") as compute:
        server = await booted(compute)
        answer = await post(
            compute, plugged(server, status="failed"), {"name": "network-changed", "server_uuid": server}
        )
        assert [event["status"] for event in answer.json["events"]] == ["completed", "completed"]
        assert "tag" not in answer.json["events"][1]
        assert len([fact for fact in compute.told.facts if fact.what == "heard"]) == 1


async def test_each_event_has_its_own_code_and_the_whole_is_207() -> None:
    async with cloud("h1") as compute:
        server = await booted(compute)
        failed = await failed_server(compute)
        answer = await post(compute, plugged(UNKNOWN), plugged(server), plugged(failed), version="2.51")
        assert answer.status_code == 207
        assert [(event["code"], event["status"]) for event in answer.json["events"]] == [
            (404, "failed"),
            (200, "completed"),
            (422, "failed"),
        ]
        answer = await post(compute, {"name": "volume-extended", "server_uuid": failed}, version="2.51")
        assert (answer.status_code, answer.json["events"][0]["code"]) == (207, 400)  # the tag comes before the host


async def failed_server(compute: Cloud) -> str:
    """A server that no host takes: ERROR, without a host."""
    flavor = {"name": "huge", "ram": 10**6, "vcpus": 1, "disk": 0, "id": "huge"}
    await compute.call("POST", "/v2.1/flavors", {"flavor": flavor}, token="admin")
    server = await compute.boot(flavorRef="huge")
    view = await compute.until(server, "ERROR")
    assert view["fault"]["message"].startswith("No valid host was found.")
    return server


async def test_all_failed_is_207_and_not_404() -> None:
    async with cloud("h1") as compute:
        answer = await post(compute, plugged(UNKNOWN))
        assert (answer.status_code, answer.json["events"][0]["code"]) == (207, 404)


async def test_a_deleted_server_is_404() -> None:
    async with cloud("h1") as compute:
        server = await booted(compute)
        await compute.call("DELETE", f"/v2.1/servers/{server}")
        await compute.until_gone(server)
        assert (await post(compute, plugged(server))).json["events"][0]["code"] == 404


async def test_a_server_that_waits_for_a_host_is_422() -> None:
    async with cloud() as compute:
        server = await compute.boot()
        assert status((await compute.record(server)).life) == "BUILD"
        assert (await post(compute, plugged(server))).json["events"][0]["code"] == 422


@pytest.mark.parametrize(
    ("name", "since"),
    [("volume-extended", 51), ("power-update", 76), ("accelerator-request-bound", 82), ("volume-reimaged", 93)],
)
async def test_a_name_is_known_from_its_microversion_on(name: str, since: int) -> None:
    async with cloud("h1") as compute:
        server = await booted(compute)
        event = {"name": name, "server_uuid": server, "tag": "POWER_ON"}
        assert (await post(compute, plugged(server), event, version=f"2.{since - 1}")).status_code == 400
        assert (await post(compute, plugged(server), event, version=f"2.{since}")).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"events": []},
        {},
        {"events": [{"name": "network-vif-plugged"}]},
        {"events": [{"name": "network-vif-plugged", "server_uuid": "nope"}]},
        {"events": [{"name": "nope", "server_uuid": UNKNOWN}]},
        {"events": [plugged(UNKNOWN, surprise=1)]},
        {"events": [plugged(UNKNOWN, status="maybe")]},
        {"events": [plugged(UNKNOWN, tag="t" * 256)]},
        {"events": [plugged(UNKNOWN)], "surprise": 1},
        [],
    ],
)
async def test_a_request_that_is_wrong_is_refused_as_a_whole(body: Any) -> None:
    async with cloud() as compute:
        answer = await compute.call("POST", PATH, body, token="service")
        assert answer.status_code == 400
        assert answer.json["badRequest"]["code"] == 400


async def test_who_may_tell_and_how_much() -> None:
    async with cloud() as compute:
        assert (await post(compute, plugged(UNKNOWN), token="member")).status_code == 403
        assert (await post(compute, plugged(UNKNOWN), token="stranger")).status_code == 401
        assert (await post(compute, plugged(UNKNOWN), token="admin")).status_code == 207
        many = [plugged(UNKNOWN)] * 1000
        answer = await post(compute, *many)
        assert (answer.status_code, answer.json["overLimit"]["code"]) == (413, 413)


class FullFor:
    """A bus whose queues for some hosts take nothing."""

    def __init__(self, compute: Cloud, *queues: str) -> None:
        self.bus = compute.bus
        self.queues = set(queues)
        self.cast_before = compute.bus.cast
        self.taken: list[tuple[HostEvent, ...]] = []

    async def cast(self, queue: str, message: Message) -> None:
        if queue in self.queues and isinstance(message, HostEvents):
            raise Unavailable(f"the queue {queue} is full")
        if isinstance(message, HostEvents):
            self.taken.append(message.events)
        await self.cast_before(queue, message)


async def test_an_event_that_the_bus_did_not_take_is_not_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    async with cloud("h1", "h2") as compute:
        first, second = await booted(compute), await booted(compute)
        assert {(await compute.record(server)).host for server in (first, second)} == {"h1", "h2"}
        full = FullFor(compute, "compute.h1")
        monkeypatch.setattr(compute.bus, "cast", full.cast)
        answer = await post(compute, plugged(first), plugged(second))
        assert answer.status_code == 207
        assert [event["code"] for event in answer.json["events"]] == [503, 200]
        assert len(full.taken) == 1
        answer = await post(compute, plugged(first))
        assert (answer.status_code, answer.json["serviceUnavailable"]["code"]) == (503, 503)
        full.queues.clear()
        assert (await post(compute, plugged(first))).status_code == 200
