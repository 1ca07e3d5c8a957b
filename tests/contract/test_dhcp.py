"""The Dhcp seam: every adapter through one suite. Clients are asked in tests/real."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from moorage.adapters.dnsmasq.dhcp import Dnsmasq
from moorage.adapters.memory.dhcp import MemoryDhcp
from moorage.adapters.world.client import HolderProcess
from moorage.domain.ids import NetworkId, PortId
from moorage.domain.network import Route
from moorage.seams.dhcp import Dhcp, DhcpNetwork, DhcpRange, Reservation

ADAPTERS = ["memory", "dnsmasq"]


@dataclass(frozen=True)
class Subject:
    dhcp: Dhcp
    again: Callable[[], Dhcp]  # a new instance, as after a restart
    kill: Callable[[NetworkId], Awaitable[None]]  # the server dies


def in_memory() -> Subject:
    """The simulated world outlives what uses it: the new instance is the old one."""
    dhcp = MemoryDhcp()

    async def kill(network: NetworkId) -> None:
        dhcp.dies(network)

    return Subject(dhcp, lambda: dhcp, kill)


@pytest.fixture(params=ADAPTERS)
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    if request.param == "memory":
        yield in_memory()
        return
    async with HolderProcess() as holder:
        world = holder.world("host-1")

        async def kill(network: NetworkId) -> None:
            await world.stop(f"dhcp-{network[:8]}", patience=0)

        yield Subject(Dnsmasq(world, tmp_path / "dhcp"), lambda: Dnsmasq(world, tmp_path / "dhcp"), kill)


def network(number: int, ports: int = 2) -> DhcpNetwork:
    return DhcpNetwork(
        NetworkId(f"0000000{number}-0000-4000-8000-000000000000"),
        f"tapdhcp{number}",
        f"fa:16:3e:00:0{number}:02",
        1450,
        (DhcpRange(f"10.{number}.0.0/16", f"10.{number}.0.2/16", f"10.{number}.0.1"),),
        tuple(
            Reservation(PortId(f"port-{index}"), f"fa:16:3e:01:00:{index:02x}", f"10.{number}.1.{index}", f"vm-{index}")
            for index in range(ports)
        ),
    )


async def test_networks_are_served_side_by_side(subject: Subject) -> None:
    for number in (1, 2):
        await subject.dhcp.serve(network(number))
    assert await subject.dhcp.serving() == {network(1).network, network(2).network}


async def test_any_change_is_read_and_a_repeat_is_fine(subject: Subject) -> None:
    first = network(1)
    [served] = first.ranges
    routed = replace(served, routes=(Route("192.168.0.0/16", "10.1.0.9"),), dns=("9.9.9.9",))
    for wanted in (
        first,
        first,
        network(1, ports=200),
        replace(first, ranges=(routed,)),
        replace(first, ranges=(replace(served, server_address="10.1.0.3/16"),)),
        replace(first, ranges=(served, DhcpRange("172.16.0.0/24", "172.16.0.2/24", None))),
        replace(first, mtu=1400, lease=600),
        replace(first, reservations=()),
    ):
        await subject.dhcp.serve(wanted)
        assert await subject.dhcp.serving() == {first.network}


async def test_stop_ends_it_and_it_may_be_served_again(subject: Subject) -> None:
    for _ in range(2):
        await subject.dhcp.serve(network(1))
        await subject.dhcp.stop(network(1).network)
        assert await subject.dhcp.serving() == frozenset()
        await subject.dhcp.stop(network(1).network)


async def test_a_server_that_died_is_started_again(subject: Subject) -> None:
    await subject.dhcp.serve(network(1))
    await subject.kill(network(1).network)
    assert await subject.dhcp.serving() == frozenset()
    await subject.dhcp.serve(network(1))
    assert await subject.dhcp.serving() == {network(1).network}


async def test_a_new_instance_takes_over(subject: Subject) -> None:
    await subject.dhcp.serve(network(1))
    anew = subject.again()
    assert await anew.serving() == {network(1).network}
    await anew.serve(network(1, ports=3))
    await anew.stop(network(1).network)
    assert await anew.serving() == frozenset()


async def test_a_server_that_ends_is_told_and_may_be_served_again(subject: Subject) -> None:
    for number in (1, 2):
        await subject.dhcp.serve(network(number))
    ended = subject.dhcp.ended()
    async with asyncio.timeout(5):
        for _ in range(2):
            await subject.kill(network(1).network)
            assert await anext(ended) == network(1).network
            await subject.dhcp.serve(network(1))
        await subject.dhcp.stop(network(1).network)  # is no end by itself
        await subject.kill(network(2).network)
        assert await anext(ended) == network(2).network
