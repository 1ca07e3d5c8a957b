"""Paused and suspended guests stand still on their ports, and go on; one that ends meanwhile is off."""

from typing import Any

import pytest
from tests.story.clouds import Story, story, until

from moorage.domain.ids import ServerId
from moorage.seams.hypervisor import GuestState

HALTS = [("pause", "unpause", "PAUSED"), ("suspend", "resume", "SUSPENDED")]


async def refusal(cloud: Story, server: ServerId, action: dict[str, Any]) -> str:
    """What the API says to an action that it refuses as a conflict."""
    reply = await cloud.compute.call("POST", f"/servers/{server}/action", action)
    assert reply.status == 409
    return reply.body.decode()


async def active(cloud: Story) -> ServerId:
    server = await cloud.create()
    assert await cloud.settled(server, within=1.0) == "ACTIVE"
    return server


@pytest.mark.parametrize(("halt", "undo", "word"), HALTS)
async def test_a_halted_server_goes_on_and_nothing_happens_to_its_port(halt: str, undo: str, word: str) -> None:
    async with story() as cloud:
        server = await active(cloud)
        before = await cloud.port(server)
        await cloud.act(server, {halt: None})
        assert await cloud.settled(server, within=1.0) == word
        assert await cloud.world.hypervisor.state(server) is GuestState.PAUSED
        for refused in ({halt: None}, {"os-stop": None}, {"os-start": None}, {"reboot": {"type": "SOFT"}}):
            assert f"while it is in vm_state {word.lower()}" in await refusal(cloud, server, refused)
        await cloud.act(server, {undo: None})
        assert await cloud.settled(server, within=1.0) == "ACTIVE"
        assert await cloud.world.hypervisor.state(server) is GuestState.RUNNING
        assert await cloud.port(server) == before
        assert "while it is in vm_state active" in await refusal(cloud, server, {undo: None})


@pytest.mark.parametrize(("halt", "undo", "word"), HALTS)
async def test_a_halted_server_can_be_rebooted_hard_and_deleted(halt: str, undo: str, word: str) -> None:
    async with story() as cloud:
        server = await active(cloud)
        await cloud.act(server, {halt: None})
        assert await cloud.settled(server, within=1.0) == word
        await cloud.act(server, {"reboot": {"type": "HARD"}})
        assert await cloud.settled(server, within=1.0) == "ACTIVE"
        await cloud.act(server, {halt: None})
        assert await cloud.settled(server, within=1.0) == word
        await cloud.delete(server)

        async def is_gone() -> bool:
            return await cloud.no_trace(server) == ""

        await until(is_gone, within=2.0)


@pytest.mark.parametrize(("halt", "undo", "word"), HALTS)
async def test_a_halted_guest_that_dies_is_off(halt: str, undo: str, word: str) -> None:
    async with story() as cloud:
        server = await active(cloud)
        await cloud.act(server, {halt: None})
        assert await cloud.settled(server, within=1.0) == word
        cloud.world.hypervisor.dies(server)

        async def is_off() -> bool:
            return await cloud.status(server) == "SHUTOFF"

        await until(is_off, within=1.0)
        await cloud.act(server, {"os-start": None})
        assert await cloud.settled(server, within=1.0) == "ACTIVE"


async def test_a_guest_that_died_before_it_could_be_paused_is_off() -> None:
    async with story() as cloud:
        server = await active(cloud)
        await cloud.host.slot.stop()
        await cloud.act(server, {"pause": None})
        cloud.world.hypervisor.dies(server)
        cloud.host.slot.start()
        assert await cloud.settled(server, within=10.0) == "SHUTOFF"
