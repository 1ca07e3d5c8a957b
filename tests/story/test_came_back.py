"""A host ends with its guests, and comes back: those that ran are started again, those that were off stay off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from moorage.app import boots
from moorage.app.all_in_one import run_cloud
from moorage.app.config import CloudSettings, HostKind, SimulatedSettings
from moorage.app.private_cloud import Access, at_hand
from moorage.domain.hops import Hop

pytestmark = pytest.mark.looptime(False)


@asynccontextmanager
async def cloud(directory: Path, **simulated: float) -> AsyncIterator[Access]:
    """A cloud of simulated hosts, whose guests end with it."""
    settings = CloudSettings(
        state_dir=directory, host_kind=HostKind.SIMULATED, port=0, simulated=SimulatedSettings(**simulated)
    )
    async with run_cloud(settings) as running, at_hand(running) as access:
        yield access


async def created(access: Access, name: str) -> str:
    return await access.member.create_server(name, image=boots.IMAGE, flavor=boots.FLAVOR, network="private")


async def seen(access: Access, server: str) -> tuple[str, str | None, str, str]:
    """The server's status and task, its port's status and generation."""
    found, port = await access.admin.server(server), await access.admin.port_of(server)
    assert found is not None
    assert port is not None
    profile: dict[str, Any] = port["binding:profile"]
    return found["status"], found["OS-EXT-STS:task_state"], port["status"], str(profile["plug_generation"])


async def until(access: Access, server: str, *wanted: object, other_than: str = "") -> str:
    """The port's generation, once status, task and port are as wanted, and it is another one."""
    try:
        async with asyncio.timeout(10):
            while (found := await seen(access, server))[:3] != wanted or found[3] == other_than:
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"{await seen(access, server)}, not {wanted}") from None
    return found[3]


async def test_what_ran_is_started_again_and_what_was_off_stays_off(tmp_path: Path) -> None:
    async with cloud(tmp_path) as access:
        ran, stopped = await created(access, "ran"), await created(access, "stopped")
        before = await until(access, ran, "ACTIVE", None, "ACTIVE")
        await until(access, stopped, "ACTIVE", None, "ACTIVE")
        await access.member.call("POST", "compute", f"/servers/{stopped}/action", {"os-stop": None})
        await until(access, stopped, "SHUTOFF", None, "DOWN")
    async with cloud(tmp_path) as access:
        await until(access, ran, "ACTIVE", None, "ACTIVE", other_than=before)
        assert await access.cloud.guest_exists(ran)
        assert (await seen(access, stopped))[:3] == ("SHUTOFF", None, "DOWN")
        asked, again = [fact for fact in await access.member.facts(ran) if fact.what is Hop.ASKED]
        assert (asked.detail, again.detail) == ("", "its host came back")
        actions = await access.member.call("GET", "compute", f"/servers/{ran}/os-instance-actions")
        assert [action["action"] for action in actions["instanceActions"]] == ["start", "create"]


async def test_a_boot_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    async with cloud(tmp_path, resume=60.0) as access:
        server = await created(access, "web")
        generation = await until(access, server, "BUILD", "networking", "ACTIVE")
    async with cloud(tmp_path) as access:
        assert await until(access, server, "ACTIVE", None, "ACTIVE") == generation


async def test_a_start_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    async with cloud(tmp_path) as access:
        server = await created(access, "web")
        first = await until(access, server, "ACTIVE", None, "ACTIVE")
    async with cloud(tmp_path, resume=60.0) as access:
        second = await until(access, server, "SHUTOFF", "powering-on", "ACTIVE", other_than=first)
    async with cloud(tmp_path) as access:
        assert await until(access, server, "ACTIVE", None, "ACTIVE") == second


async def test_a_soft_reboot_that_was_cut_off_is_a_start(tmp_path: Path) -> None:
    async with cloud(tmp_path, resume=1.0) as access:
        server = await created(access, "web")
        first = await until(access, server, "ACTIVE", None, "ACTIVE")
        await access.member.call("POST", "compute", f"/servers/{server}/action", {"reboot": {"type": "SOFT"}})
        await until(access, server, "REBOOT", "rebooting", "ACTIVE")
    async with cloud(tmp_path) as access:
        await until(access, server, "ACTIVE", None, "ACTIVE", other_than=first)
        assert await access.cloud.guest_exists(server)
