"""Several hosts in one world, each with its own switch: a network is one on all of them, and none reaches another."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from moorage.adapters.netns.hypervisor import guest_name
from moorage.adapters.world.reach import ping
from moorage.app import boots, processes
from moorage.app.all_in_one import AllInOne, run_cloud
from moorage.app.config import CloudSettings, HostKind
from moorage.app.private_cloud import Access, at_hand
from moorage.app.runtime import place_of
from moorage.app.underlay import HOST
from moorage.domain.ids import ServerId

pytestmark = pytest.mark.timeout(60)

HOSTS = ("host-1", "host-2")


class Guests:
    """Servers of a cloud with two hosts, by network and host."""

    def __init__(self, cloud: AllInOne, access: Access) -> None:
        self.cloud = cloud
        self.access = access
        self.worlds = {str(host.equipment.name): host.equipment.world for host in cloud.hosts}

    async def on_each_host(self, *networks: str) -> dict[str, dict[str, tuple[str, str]]]:
        """By network, a server on each host with its address. Booted in turn, so that hosts meet networks unevenly."""
        found: dict[str, dict[str, tuple[str, str]]] = {network: {} for network in networks}
        for number in range(6):
            for network in networks if number % 2 == 0 else networks[::-1]:
                if len(found[network]) < len(HOSTS):
                    host, server, address = await self.boot(f"{network}-{number}", network)
                    found[network][host] = server, address
        assert {frozenset(members) for members in found.values()} == {frozenset(HOSTS)}
        return found

    async def boot(self, name: str, network: str) -> tuple[str, str, str]:
        """A server's host, id and address."""
        member, admin = self.access.member, self.access.admin
        server = await member.create_server(name, image=boots.IMAGE, flavor=boots.FLAVOR, network=network)
        assert (await boots.ended(self.access, server))["status"] == "ACTIVE"
        address = await boots.addressed(self.access, server)
        assert address is not None
        seen = await admin.call("GET", "compute", f"/servers/{server}")
        return seen["server"]["OS-EXT-SRV-ATTR:host"], server, address

    async def reaches(self, host: str, server: str, address: str, *, patience: float) -> bool:
        """Whether the server's own ping is answered."""
        world = self.worlds[host]
        assert world is not None
        return await ping(world, guest_name(ServerId(server)), address, patience=patience)


@asynccontextmanager
async def guests(directory: Path) -> AsyncIterator[Guests]:
    settings = CloudSettings(state_dir=directory, host_kind=HostKind.NETNS, hosts=len(HOSTS), port=0)
    async with run_cloud(settings) as cloud, at_hand(cloud) as access:
        yield Guests(cloud, access)


async def test_a_network_is_one_on_all_hosts_and_none_reaches_another(tmp_path: Path) -> None:
    async with guests(tmp_path) as found:
        call = found.access.member.call
        other = await call("POST", "network", "/v2.0/networks", {"network": {"name": "other"}})
        subnet = {
            "network_id": other["network"]["id"],
            "ip_version": 4,
            "cidr": "10.0.0.0/24",  # as in `private`: without a VLAN of its own it would be one with it
            "allocation_pools": [{"start": "10.0.0.100", "end": "10.0.0.199"}],
        }
        await call("POST", "network", "/v2.0/subnets", {"subnet": subnet})
        members = await found.on_each_host("private", "other")
        for network in members.values():
            for host, (server, _) in network.items():
                [away] = [address for where, (_, address) in network.items() if where != host]
                assert await found.reaches(host, server, away, patience=5.0)
        for host, (server, _) in members["private"].items():
            for _, strange in members["other"].values():
                assert not await found.reaches(host, server, strange, patience=0.6)
        underlay = processes.mentioning(place_of(tmp_path) / HOST)
        assert len(underlay) == 2  # its database server and its switch
        processes.kill(underlay)
        server, away = members["private"][HOSTS[0]][0], members["private"][HOSTS[1]][1]
        assert await found.reaches(HOSTS[0], server, away, patience=5.0)
