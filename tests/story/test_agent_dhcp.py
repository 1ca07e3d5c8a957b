"""A host's DHCP servers and the network: one bad network, and one bad question, hold up no other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Never

from moorage.adapters.memory.dhcp import MemoryDhcp
from moorage.adapters.memory.switch import MemorySwitch
from moorage.agent.dhcp import DhcpServers
from moorage.agent.vlans import Vlans
from moorage.domain.errors import Exhausted, Unavailable
from moorage.domain.ids import HostName, NetworkId
from moorage.seams.bus import Handler
from moorage.seams.dhcp import DhcpNetwork
from moorage.wire.messages import (
    DhcpNetworks,
    DhcpNetworkSpec,
    DhcpPortMark,
    DhcpRangeSpec,
    DhcpReady,
    DhcpReservationSpec,
    DhcpWanted,
    Done,
    Message,
)

A, B = NetworkId("a" * 8), NetworkId("b" * 8)


def spec(network: NetworkId, address: str = "10.0.0.3") -> DhcpNetworkSpec:
    port, mac = f"port-{network}", f"fa:16:3e:00:00:{network[0]}0"
    return DhcpNetworkSpec(
        network=network,
        port=f"dhcp-{network}",
        mac="fa:16:3e:dd:dd:dd",
        mtu=1500,
        ranges=(DhcpRangeSpec(cidr="10.0.0.0/24", server_address="10.0.0.2/24", gateway=None, dns=(), routes=()),),
        reservations=(DhcpReservationSpec(port=port, mac=mac, address=address, hostname="web"),),
        marks=(DhcpPortMark(port=port, generation="g1", mac=mac, addresses=(address,)),),
    )


@dataclass
class Network:
    """The network's end of the bus: what it wants served, and what it cannot tell of."""

    specs: dict[NetworkId, DhcpNetworkSpec] = field(default_factory=dict)
    failed: set[NetworkId] = field(default_factory=set)
    refuses_all: bool = False  # when asked for all
    asked: list[tuple[str, ...]] = field(default_factory=list)
    ready: list[DhcpPortMark] = field(default_factory=list)

    async def call(self, queue: str, message: Message, *, timeout: float = 10.0) -> Message:
        await asyncio.sleep(0.001)
        if isinstance(message, DhcpReady):
            self.ready += message.marks
            return Done()
        assert isinstance(message, DhcpWanted)
        self.asked.append(message.networks)
        if self.refuses_all and not message.networks:
            raise Exhausted("no address is left somewhere")
        named = [NetworkId(one) for one in message.networks] or [*self.specs, *self.failed]
        told = tuple(self.specs[one] for one in named if one in self.specs and one not in self.failed)
        return DhcpNetworks(networks=told, failed=tuple(one for one in named if one in self.failed))

    async def cast(self, queue: str, message: Message) -> None:
        raise AssertionError("the agent calls")

    async def serve(self, queue: str, handler: Handler) -> Never:
        raise AssertionError("nobody is served here")

    def reconnects(self) -> AsyncIterator[None]:
        raise AssertionError("nobody asks")

    def is_ready(self, *networks: NetworkId) -> bool:
        return {mark.port for mark in self.ready} == {f"port-{network}" for network in networks}


class SlowDhcp(MemoryDhcp):
    """Networks in `slow` take 5 s, as a dnsmasq does that does not say that it has read its file."""

    slow: frozenset[NetworkId] = frozenset()

    async def serve(self, wanted: DhcpNetwork) -> None:
        if wanted.network in self.slow:
            await asyncio.sleep(5)
            raise Unavailable(f"{wanted.network} did not read its files")
        await super().serve(wanted)


@dataclass
class Host:
    network: Network
    dhcp: SlowDhcp
    servers: DhcpServers


async def nothing_to_catch_up() -> None: ...


@asynccontextmanager
async def serving(*networks: NetworkId) -> AsyncIterator[Host]:
    """An agent's DHCP servers at work, once they serve these networks."""
    network, switch = Network({one: spec(one) for one in networks}), MemorySwitch()
    dhcp = SlowDhcp()
    servers = DhcpServers(HostName("h1"), dhcp, switch, network, Vlans())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(servers.run(nothing_to_catch_up))
        await asyncio.sleep(0.1)
        assert network.is_ready(*networks)
        network.ready.clear()
        network.asked.clear()
        yield Host(network, dhcp, servers)
        task.cancel()


async def test_what_was_read_is_said_as_the_network_told_it() -> None:
    async with serving(A) as host:
        host.network.specs[A] = spec(A, "10.0.0.9")
        host.servers.changed([A])
        await asyncio.sleep(0.1)
        assert host.network.ready == list(host.network.specs[A].marks)
        assert host.network.asked == [(A,)]


async def test_a_network_whose_server_does_not_read_holds_up_no_other() -> None:
    async with serving(A) as host:
        host.dhcp.slow = frozenset({A})
        host.network.specs[A] = spec(A, "10.0.0.9")
        host.servers.changed([A])
        await asyncio.sleep(1)
        host.network.specs[B] = spec(B)
        host.servers.changed([B])
        await asyncio.sleep(0.1)
        assert host.network.is_ready(B)
        host.dhcp.slow = frozenset()
        await asyncio.sleep(6)
        assert host.network.is_ready(A, B)
        assert set(host.network.asked) == {(A,), (B,)}  # what fails in part is never asked as a whole


async def test_a_network_whose_server_cannot_be_stopped_holds_up_no_other() -> None:
    async with serving(A) as host:
        host.dhcp.refuse.add(A)
        del host.network.specs[A]
        host.network.specs[B] = spec(B)
        host.servers.changed_all()
        await asyncio.sleep(0.1)
        assert host.network.is_ready(B)
        host.dhcp.refuse.clear()
        await asyncio.sleep(1)
        assert await host.dhcp.serving() == {B}


async def test_a_network_that_cannot_be_told_of_stays_as_it_is() -> None:
    async with serving(A, B) as host:
        host.network.failed.add(A)
        for change in (host.servers.changed_all, lambda: host.servers.changed([A, B])):
            change()
            await asyncio.sleep(0.1)
            assert host.network.is_ready(B)
            assert await host.dhcp.serving() == {A, B}
        host.network.failed.clear()
        host.servers.changed_all()
        await asyncio.sleep(0.1)
        assert host.network.is_ready(A, B)


async def test_when_the_whole_cannot_be_asked_for_parts_still_can() -> None:
    async with serving(A) as host:
        host.network.refuses_all = True
        host.servers.changed_all()
        await asyncio.sleep(1)
        host.network.specs[B] = spec(B)
        host.servers.changed([B])
        await asyncio.sleep(1)
        assert host.network.is_ready(B)
        host.network.refuses_all = False
        await asyncio.sleep(1)
        assert host.network.is_ready(A, B)


async def test_news_while_the_network_is_asked_is_asked_at_once_after() -> None:
    async with serving(A) as host:
        for address in ("10.0.0.7", "10.0.0.8", "10.0.0.9"):
            host.network.specs[A] = spec(A, address)
            host.servers.changed([A])
            await asyncio.sleep(0.0005)
        await asyncio.sleep(0.02)
        assert host.network.ready[-1] == host.network.specs[A].marks[0]


async def test_a_server_that_ends_is_started_again_and_said_to_be_ready() -> None:
    async with serving(A, B) as host:
        host.dhcp.dies(A)
        await asyncio.sleep(0.1)
        assert await host.dhcp.serving() == {A, B}
        assert host.network.asked == [(A,)]
        assert host.network.ready == list(host.network.specs[A].marks)
