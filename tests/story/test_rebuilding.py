"""Rebuild: a server has a new guest, from an image, on the port and with the address that it had."""

import json
from typing import Any

from tests.story.clouds import Story, story
from tests.story.test_pausing import active

from moorage.domain.hops import Hop
from moorage.domain.ids import ServerId
from moorage.seams.hypervisor import GuestState


async def rebuild(cloud: Story, server: ServerId, status: int = 202, **changes: Any) -> Any:
    body = {"rebuild": {"imageRef": cloud.image_id, **changes}}
    reply = await cloud.compute.call("POST", f"/servers/{server}/action", body)
    assert reply.status == status, reply.body
    return json.loads(reply.body)


async def test_a_rebuilt_server_boots_again_on_its_port() -> None:
    async with story() as cloud:
        server = await active(cloud)
        before = await cloud.port(server)
        cloud.world.hypervisor.writes(server, "of the guest before")
        told = (await rebuild(cloud, server, name="other", metadata={"a": "b"}, adminPass="secret"))["server"]
        assert (told["status"], told["name"], told["metadata"], told["adminPass"]) == (
            "REBUILD",
            "other",
            {"a": "b"},
            "secret",
        )
        assert await cloud.settled(server, within=1.0) == "ACTIVE"
        after = await cloud.port(server)
        assert (after["id"], after["fixed_ips"], after["status"]) == (before["id"], before["fixed_ips"], "ACTIVE")
        generations = [port["binding:profile"]["plug_generation"] for port in (before, after)]
        assert generations[0] != generations[1]
        assert list(cloud.hops(server)) == list(Hop)
        assert b"of the guest before" not in await cloud.world.hypervisor.console(server)


async def test_a_server_that_is_off_is_rebuilt_and_stays_off() -> None:
    async with story() as cloud:
        server = await active(cloud)
        cloud.world.hypervisor.writes(server, "of the guest before")
        await cloud.act(server, {"os-stop": None})
        assert await cloud.settled(server, within=1.0) == "SHUTOFF"
        await rebuild(cloud, server)
        assert await cloud.settled(server, within=1.0) == "SHUTOFF"
        await cloud.act(server, {"os-start": None})
        assert await cloud.settled(server, within=1.0) == "ACTIVE"
        assert await cloud.world.hypervisor.state(server) is GuestState.RUNNING
        assert b"of the guest before" not in await cloud.world.hypervisor.console(server)


async def test_a_rebuild_that_cannot_be_is_refused_and_changes_nothing() -> None:
    async with story() as cloud:
        server = await active(cloud)
        unknown = "99999999-9999-4999-8999-999999999999"
        wrongs: list[dict[str, Any]] = [{"imageRef": unknown}, {"name": " "}, {"personality": [{}]}, {"key_name": "k"}]
        for wrong in (*wrongs, {"x": 1}):
            await rebuild(cloud, server, 400, **wrong)
        await cloud.act(server, {"pause": None})
        assert await cloud.settled(server, within=1.0) == "PAUSED"
        await rebuild(cloud, server, 409, name="other")
        shown = await cloud.show(server)
        assert shown is not None
        assert (shown["name"], shown["status"]) == ("web", "PAUSED")


async def test_an_error_is_mended_by_a_rebuild() -> None:
    async with story() as cloud:
        server = await active(cloud)
        admin = cloud.plane.session("compute/v2.1", user="admin", project="admin")
        reply = await admin.call("POST", f"/servers/{server}/action", {"os-resetState": {"state": "error"}})
        assert reply.status == 202, reply
        assert await cloud.settled(server, within=1.0) == "ERROR"
        await rebuild(cloud, server)
        assert await cloud.settled(server, within=1.0) == "ACTIVE"
