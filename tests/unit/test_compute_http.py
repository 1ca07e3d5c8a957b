"""The Compute API over HTTP, in-process."""

import pytest

from tests.unit.compute_rig import cloud

pytestmark = pytest.mark.looptime


async def test_a_server_is_asked_for_placed_and_booted() -> None:
    async with cloud("h1") as compute:
        server = await compute.boot()
        view = await compute.until(server, "ACTIVE")
        assert view["OS-EXT-SRV-ATTR:host"] == "h1"
        assert view["addresses"]["private"][0]["addr"] == "10.0.0.5"
        assert [fact.what for fact in compute.told.facts] == ["asked", "placed"]


async def test_a_deleted_server_is_gone() -> None:
    async with cloud("h1") as compute:
        server = await compute.boot()
        await compute.until(server, "ACTIVE")
        assert (await compute.call("DELETE", f"/v2.1/servers/{server}")).status_code == 204
        await compute.until_gone(server)
