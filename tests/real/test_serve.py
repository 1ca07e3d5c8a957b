"""The APIs as processes of their own, over HTTP: they find each other, and end in order."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from tests.rabbitmq import a_broker
from tests.real.serving import APIS, Spread, spread

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def bus() -> Iterator[str]:
    with a_broker() as broker:
        yield broker.url


def on_sqlite(cloud: Spread, bus: str) -> Path:
    place = cloud.place
    database = f'url = "postgresql://moorage@127.0.0.1/moorage"\npassword_file = "{place}/database.password"'
    broker = f'url = "amqp://moorage@127.0.0.1/moorage"\npassword_file = "{place}/bus.password"'
    changes = {database: f'url = "sqlite:{place}"', broker: f'url = "{bus}"', "/var/lib/moorage": str(place)}
    return cloud.write("control-plane.toml", changes)


async def test_apis_find_each_other_whatever_order_they_start_in_and_end_when_told(tmp_path: Path, bus: str) -> None:
    async with spread(tmp_path) as cloud:
        file = on_sqlite(cloud, bus)
        for what in reversed(APIS):
            await cloud.start(what, file)
        await cloud.ready(*APIS)
        async with cloud.client() as admin:
            made = await admin.call("POST", "network", "/v2.0/networks", {"network": {"name": "private"}})
            network = made["network"]["id"]
            subnet = {"network_id": network, "ip_version": 4, "cidr": "10.0.0.0/24"}
            await admin.call("POST", "network", "/v2.0/subnets", {"subnet": subnet})
            image = await cloud.image(admin)
            server = await admin.create_server("web", image=image, flavor="m1.tiny", network=network)
            assert await admin.server(server) is not None  # image and network were asked, over HTTP
        assert await cloud.stop() == [0] * len(APIS)
        assert not any(token in log.read_text() for log in tmp_path.glob("*.log") for token in ("-secret", "eyJ"))


async def test_a_request_under_way_ends_well_when_its_process_is_told_to_stop(tmp_path: Path, bus: str) -> None:
    async with spread(tmp_path) as cloud:
        file = on_sqlite(cloud, bus)
        served = [await cloud.start(what, file) for what in ("identity", "image")]
        await cloud.ready("identity", "image")
        async with cloud.client() as admin:
            body = {"name": "slow", "disk_format": "raw", "container_format": "bare"}
            image = (await admin.call("POST", "image", "/v2/images", body))["id"]
            is_under_way, may_go_on = asyncio.Event(), asyncio.Event()

            async def pieces() -> AsyncIterator[bytes]:
                yield bytes(1000)
                is_under_way.set()
                await may_go_on.wait()
                yield bytes(1000)

            async with asyncio.TaskGroup() as group:
                uploading = group.create_task(cloud.upload(admin, image, pieces()))
                await is_under_way.wait()
                while (await admin.call("GET", "image", f"/v2/images/{image}"))["status"] != "saving":
                    await asyncio.sleep(0.02)
                stopping = group.create_task(cloud.stop([served[1]]))
                while await _answers(cloud.url("image")):
                    await asyncio.sleep(0.02)
                may_go_on.set()
            assert uploading.result() == 204
            assert stopping.result() == [0]
        await cloud.start("image", file)
        await cloud.ready("image")
        async with cloud.client() as admin:
            kept = await admin.call("GET", "image", f"/v2/images/{image}")
            assert (kept["status"], kept["size"]) == ("active", 2000)


async def _answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as fresh, fresh.get(f"{url}/healthz") as reply:
            return reply.status == 200
    except (aiohttp.ClientError, OSError):
        return False
