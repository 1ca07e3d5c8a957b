"""Security groups as users have them: the openstack command against a cloud with real guests."""

import asyncio
import socket
from contextlib import suppress
from pathlib import Path

import pytest
from tests.compat.clients import Place, Session, session

from moorage.adapters.netns.hypervisor import guest_name
from moorage.app import boots
from moorage.app.all_in_one import AllInOne, run_cloud
from moorage.app.clouds_yaml import rendered
from moorage.app.config import CloudSettings, HostKind
from moorage.app.private_cloud import Access, at_hand
from moorage.domain.ids import ServerId

pytestmark = pytest.mark.timeout(120)

SOON = 1.0  # seconds from the command's end until live ports heed it


class Users:
    """What a user does, and what one guest gets of another."""

    def __init__(self, cloud: AllInOne, access: Access, openstack: Session) -> None:
        self.cloud = cloud
        self.access = access
        self._openstack = openstack

    async def do(self, *command: str) -> str:
        return await asyncio.to_thread(self._openstack.do, *command)

    async def boot(self, name: str, *options: str) -> tuple[str, str]:
        """A server's id and address."""
        command = ("server", "create", "--image", boots.IMAGE, "--flavor", boots.FLAVOR, "--network", boots.NETWORK)
        server = (await self.do(*command, *options, name, "-f", "value", "-c", "id")).strip()
        assert (await boots.ended(self.access, server))["status"] == "ACTIVE"
        address = await boots.addressed(self.access, server)
        assert address is not None
        return server, address

    async def gets_page(self, server: str, address: str) -> bool:
        """Whether a guest connects to port 80 of another."""
        [host] = self.cloud.hosts
        world = host.equipment.world
        assert world is not None
        name = guest_name(ServerId(server))
        opened = await world.socket(socket.AF_INET, socket.SOCK_STREAM, namespace=name)
        with opened, suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await asyncio.get_running_loop().sock_connect(opened, (address, 80))
                return True
        return False

    async def soon(self, server: str, address: str, *, gets_page: bool) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while await self.gets_page(server, address) != gets_page:
            assert loop.time() - began < SOON, f"still {not gets_page} after {SOON:g} s"
            await asyncio.sleep(0.02)


async def test_rules_that_users_make_and_delete_reach_running_guests_within_a_second(tmp_path: Path) -> None:
    settings = CloudSettings(state_dir=tmp_path / "state", host_kind=HostKind.NETNS, port=0)
    async with run_cloud(settings) as cloud, at_hand(cloud) as access:
        clouds_yaml = tmp_path / "clouds.yaml"
        clouds_yaml.write_text(rendered(cloud.url, cloud.credentials))
        with session(Place(cloud.url, clouds_yaml, tmp_path)) as openstack:
            users = Users(cloud, access, openstack)
            await users.do("security", "group", "create", "web")
            asking, _ = await users.boot("asking")
            web, address = await users.boot("web", "--security-group", "web")
            assert not await users.gets_page(asking, address)

            await users.do("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "80", "web")
            await users.soon(asking, address, gets_page=True)
            rules = await users.do("security", "group", "rule", "list", "web", "--ingress", "-f", "value", "-c", "ID")
            await users.do("security", "group", "rule", "delete", rules.strip())
            await users.soon(asking, address, gets_page=False)

            [port] = (await users.do("port", "list", "--server", web, "-f", "value", "-c", "ID")).split()
            await users.do("port", "set", "--security-group", "default", port)  # which lets in its members
            await users.soon(asking, address, gets_page=True)
            await users.do("port", "unset", "--security-group", "default", port)
            await users.soon(asking, address, gets_page=False)

            await users.do("port", "set", "--no-security-group", "--disable-port-security", port)
            await users.soon(asking, address, gets_page=True)
            await users.do("port", "set", "--enable-port-security", "--security-group", "web", port)
            await users.soon(asking, address, gets_page=False)
            shown = await access.admin.port_of(web)
            assert shown is not None
            assert shown["binding:vif_details"]["port_filter"] is True
