"""Each call that a host makes fails in turn, in each way: afterwards the server is ACTIVE, or ERROR, or gone without
a trace."""

import asyncio

import pytest
from tests.story.clouds import Story, story
from tests.story.faults import Fault, Faults, one_fault_at_a_time

from moorage.domain.ids import ServerId
from moorage.seams.hypervisor import GuestState

KINDS = [Fault.UNAVAILABLE, Fault.LOST, Fault.TWICE, Fault.LATE]
EACH_CALL = {Fault.UNAVAILABLE: 1, Fault.LOST: 1, Fault.TWICE: 3, Fault.LATE: 3}  # or each third, for time's sake


async def _is_sound(cloud: Story, server: str, faults: Faults) -> str | None:
    """ACTIVE with its port ACTIVE, its guest running with an address; or ERROR or gone, and nothing left."""
    server_id = ServerId(server)
    status = await cloud.settled(server_id, within=120)
    if status == "ACTIVE":
        assert "ACTIVE" in [port["status"] for port in await cloud.ports(server_id)], faults
        assert (await cloud.world.hypervisor.states())[server_id] is GuestState.RUNNING, faults
        assert cloud.world.hypervisor.address_of(server_id), faults
        await cloud.delete(server_id)
        await cloud.settled(server_id, within=120)
    assert await cloud.no_trace(server_id) == "", f"{status}: {faults}"
    return status


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_boot_with_any_one_call_failing_ends_active_or_without_a_trace(kind: Fault) -> None:
    tried = 0
    async for faults in one_fault_at_a_time(kind, late=5.0, calls=range(0, 100, EACH_CALL[kind])):
        async with story(timeout=60, faults=faults) as cloud:
            server = await cloud.create()
            assert await _is_sound(cloud, server, faults) == "ACTIVE", faults  # one fault never fails a boot
            tried += bool(faults.struck)
            limit = 40  # calls of the boot itself; later ones are the periodic looks
            if faults.kind is None:
                del faults.calls[limit:]
    assert tried >= 20 // EACH_CALL[kind]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_delete_with_any_one_call_failing_leaves_no_trace(kind: Fault) -> None:
    tried = 0
    async for faults in one_fault_at_a_time(kind, late=5.0, calls=range(0, 100, EACH_CALL[kind])):
        armed, faults.kind = faults.kind, None  # it is counted from the delete on
        async with story(timeout=60, faults=faults) as cloud:
            server = await cloud.create()
            assert await cloud.settled(server, within=5) == "ACTIVE"
            faults.calls.clear()
            faults.kind = armed
            await cloud.delete(server)
            assert await cloud.settled(server, within=60) == "gone", faults
            assert await cloud.no_trace(server) == "", faults
            tried += bool(faults.struck)
            if armed is None:
                del faults.calls[25:]
    assert tried >= 8 // EACH_CALL[kind]


async def test_the_network_away_for_ten_seconds_delays_a_boot_and_fails_none() -> None:
    faults = Faults(Fault.UNAVAILABLE, at=0, lasting=20)
    async with story(timeout=60, faults=faults) as cloud:
        server = await cloud.create()
        assert await cloud.settled(server, within=60) == "ACTIVE"
        assert len(faults.struck) >= 20


async def test_no_task_is_left_over_when_a_cloud_ends_in_the_middle_of_boots() -> None:
    before = asyncio.all_tasks()
    async with story() as cloud:
        for number in range(20):
            await cloud.create(f"web-{number}")
        await asyncio.sleep(0.003)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
