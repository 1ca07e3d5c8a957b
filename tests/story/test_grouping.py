"""Security groups that a server is given while it runs: on its ports, by the name that its owner sees."""

import json
from typing import Any

from tests.story.clouds import Story, story
from tests.story.test_pausing import active

from moorage.domain.ids import ServerId


async def made_group(cloud: Story, name: str) -> str:
    session = cloud.plane.session("network", user="demo", project="demo")
    body = await session.json("POST", "/v2.0/security-groups", {"security_group": {"name": name}})
    return str(body["security_group"]["id"])


async def asked(cloud: Story, server: ServerId, action: str, name: str) -> tuple[int, str]:
    reply = await cloud.compute.call("POST", f"/servers/{server}/action", {action: {"name": name}})
    return reply.status, reply.body.decode()


async def seen(cloud: Story, server: ServerId) -> tuple[list[str] | None, list[str]]:
    """The names that the server shows, and the groups of its port."""
    shown: dict[str, Any] = await cloud.show(server) or {}
    names = [group["name"] for group in shown["security_groups"]] if "security_groups" in shown else None
    return names, sorted((await cloud.port(server))["security_groups"])


async def test_a_running_server_takes_groups_on_and_off() -> None:
    async with story() as cloud:
        server = await active(cloud)
        names, [default] = await seen(cloud, server)
        assert names == ["default"]
        web = await made_group(cloud, "web")
        for word in ("web", web):  # by name, by id; a second time changes nothing
            assert await asked(cloud, server, "addSecurityGroup", word) == (202, "")
            assert await seen(cloud, server) == (["default", "web"], sorted([default, web]))
        reply = await cloud.compute.call("GET", f"/servers/{server}/os-security-groups")
        listed = json.loads(reply.body)["security_groups"]
        assert [(group["name"], group["id"]) for group in listed] == [("default", default), ("web", web)]
        assert await asked(cloud, server, "removeSecurityGroup", "default") == (202, "")
        assert await seen(cloud, server) == (["web"], [web])
        assert await asked(cloud, server, "removeSecurityGroup", web) == (202, "")
        assert await seen(cloud, server) == (None, [])


async def test_a_group_that_was_renamed_is_still_the_servers() -> None:
    async with story() as cloud:
        server = await active(cloud)
        web = await made_group(cloud, "web")
        assert await asked(cloud, server, "addSecurityGroup", "web") == (202, "")
        session = cloud.plane.session("network", user="demo", project="demo")
        await session.json("PUT", f"/v2.0/security-groups/{web}", {"security_group": {"name": "front"}})
        assert await asked(cloud, server, "removeSecurityGroup", "default") == (202, "")
        assert await seen(cloud, server) == (["front"], [web])


async def test_a_group_that_is_not_there_is_neither_added_nor_removed() -> None:
    async with story() as cloud:
        server = await active(cloud)
        before = await seen(cloud, server)
        await made_group(cloud, "web")
        for action, name in (
            ("addSecurityGroup", "nobody's"),
            ("removeSecurityGroup", "nobody's"),
            ("removeSecurityGroup", "web"),  # there is one, but not on this server
        ):
            status, body = await asked(cloud, server, action, name)
            assert status == 404
            assert name in body
        assert await seen(cloud, server) == before


async def test_the_groups_of_a_locked_server_stay() -> None:
    async with story() as cloud:
        server = await active(cloud)
        before = await seen(cloud, server)
        await made_group(cloud, "web")
        await cloud.act(server, {"lock": None})
        assert (await asked(cloud, server, "addSecurityGroup", "web"))[0] == 409
        assert await seen(cloud, server) == before
