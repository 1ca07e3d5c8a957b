"""Several processes on one database: nothing is given out twice, no change is lost, no limit is passed.

Each writer has a store and connections of its own, as a process would; on SQLite they share its one connection.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

import pytest
from tests.contract.clocks import Still
from tests.contract.conftest import Opened
from tests.contract.test_network_store import NET, P1, network, numbered, subnet, with_port
from tests.contract.test_server_store import PROJECT, TINY, USER, a_server, an_action, hear, placing
from tests.unit.ports import NOW, bind, report

from moorage.adapters.database.compute import ComputeDatabase
from moorage.adapters.database.compute_tables import COMPUTE
from moorage.adapters.database.engine import Database
from moorage.adapters.database.identity import DatabaseIdentityStore
from moorage.adapters.database.identity_tables import IDENTITY
from moorage.adapters.database.network import SqlNetworkStore
from moorage.adapters.database.network_tables import NETWORK
from moorage.adapters.database.postgresql import CONNECTIONS
from moorage.adapters.database.schema import Schema
from moorage.domain.errors import Conflict, Exhausted, NotFound
from moorage.domain.identity import Domain, Grant, Project, Revocation, Role, Scope, ScopeKind, User
from moorage.domain.ids import HostName, NetworkId, PortId, SubnetId
from moorage.domain.ipam import AddressWanted
from moorage.domain.port import Port, reported_up
from moorage.domain.security_group import SecurityGroup, SecurityGroupRule
from moorage.domain.server import Server
from moorage.seams.network_store import NewPort
from moorage.seams.server_store import Heartbeat, Keypair, Quota

WRITERS = 3
T = TypeVar("T")


async def outcomes(calls: Sequence[Awaitable[T]]) -> tuple[list[T], list[BaseException]]:
    """What all at once returned, and what they raised."""
    done = await asyncio.gather(*calls, return_exceptions=True)
    return (
        [one for one in done if not isinstance(one, BaseException)],
        [one for one in done if isinstance(one, BaseException)],
    )


@asynccontextmanager
async def many(kept: Opened, schema: Schema) -> AsyncIterator[list[Database]]:
    """Databases with all their connections open, so that what is asked at once is done at once."""
    async with AsyncExitStack() as stack:
        databases = [await stack.enter_async_context(kept(schema)) for _ in range(WRITERS)]
        await asyncio.gather(*(database.check() for database in databases * CONNECTIONS))
        yield databases


@pytest.fixture
async def networks(kept: Opened) -> AsyncIterator[list[SqlNetworkStore]]:
    async with many(kept, NETWORK) as databases:
        yield [SqlNetworkStore(database, Still(NOW)) for database in databases]


@pytest.fixture
async def computes(kept: Opened) -> AsyncIterator[list[ComputeDatabase]]:
    async with many(kept, COMPUTE) as databases:
        yield [ComputeDatabase(database) for database in databases]


@pytest.fixture
async def identities(kept: Opened) -> AsyncIterator[list[DatabaseIdentityStore]]:
    async with many(kept, IDENTITY) as databases:
        yield [DatabaseIdentityStore(database) for database in databases]


# ---- the network


async def test_no_address_is_given_twice(networks: list[SqlNetworkStore]) -> None:
    await networks[0].create_networks([network()])
    await networks[0].create_subnets([subnet(cidr="10.0.0.0/24"), subnet("s2", "10.1.0.0/24")])
    calls = [
        networks[number % WRITERS].create_ports([numbered(number), numbered(number + 100)]) for number in range(1, 41)
    ]
    made, refused = await outcomes(calls)
    addresses = [ip.ip_address for ports in made for port in ports for ip in port.fixed_ips]
    assert len(set(addresses)) == len(addresses) == 10  # two pools of five
    assert {getattr(error, "kind", error) for error in refused} == {"IpAddressGenerationFailure"}
    held = [ip.ip_address for port in await networks[0].ports(None) for ip in port.fixed_ips]
    assert sorted(held) == sorted(addresses)


async def test_one_of_many_gets_a_mac_a_fixed_address_an_id(networks: list[SqlNetworkStore]) -> None:
    await networks[0].create_networks([network()])
    await networks[0].create_subnets([subnet()])

    def having(number: int, **fields: object) -> NewPort:
        new = numbered(number)
        return replace(new, port=replace(new.port, **fields))  # type: ignore[arg-type]

    def at_6(number: int) -> NewPort:
        return replace(numbered(number + 20), addresses=(AddressWanted(address="10.0.0.6"),))

    cases: dict[str, Callable[[int], NewPort]] = {
        "MacAddressInUse": partial(having, mac_address="fa:16:3e:00:00:00"),
        "IpAddressAlreadyAllocated": at_6,
        "PortExists": lambda number: having(number + 40, id=PortId("the one")),
    }
    for kind, new in cases.items():
        made, refused = await outcomes([store.create_ports([new(number)]) for number, store in enumerate(networks, 1)])
        assert len(made) == 1, kind
        assert [getattr(error, "kind", error) for error in refused] == [kind] * (WRITERS - 1)


async def test_no_update_of_a_port_is_lost(networks: list[SqlNetworkStore]) -> None:
    before = await with_port(networks[0])

    def longer(port: Port) -> Port:
        return replace(port, name=port.name + "x")

    await asyncio.gather(*(networks[number % WRITERS].update(P1, longer) for number in range(30)))
    [after] = await networks[0].ports(None)
    assert (after.name, after.revision_number) == ("x" * 30, before.revision_number + 30)


async def test_batches_that_cross_end_without_waiting_for_each_other(networks: list[SqlNetworkStore]) -> None:
    """Each wants what the others have, in another order; also by host, and beside changes of their subnet."""
    await networks[0].create_networks([network(), network("n2")])
    wide = subnet(cidr="10.0.0.0/24"), subnet("s2", "10.2.0.0/24", NetworkId("n2"))
    await networks[0].create_subnets(wide)
    await networks[0].create_ports([replace(numbered(number), then=bind) for number in range(1, 5)])
    ports = [PortId(f"p{number}") for number in range(1, 5)]
    rules = {port: partial(reported_up, report=report(9)) for port in ports}
    calls: list[Awaitable[object]] = []
    for number in range(8):
        store = networks[number % WRITERS]
        order = ports if number % 2 else ports[::-1]
        crossed = [numbered(number + 50), numbered(number + 70, network_id=NetworkId("n2"))]
        calls += [
            store.update_each({port: rules[port] for port in order}),
            store.update_each(dict.fromkeys(ports, partial(reported_up, report=report(10 + number)))),
            store.update_subnet(SubnetId("s1"), lambda before: replace(before, name=before.name + "x")),
            store.update_network(NET, lambda before: replace(before, name=before.name + "x")),
            store.update(PortId("p1"), lambda port: port, addresses=[AddressWanted(SubnetId("s1"))]),
            store.create_ports([replace(new, addresses=()) for new in (crossed if number % 2 else crossed[::-1])]),
        ]
    async with asyncio.timeout(8):
        _, refused = await outcomes(calls)
    assert refused == []
    assert (await networks[0].subnets(None))[0].name == "s1" + "x" * 8


async def test_a_network_does_not_go_under_a_port(networks: list[SqlNetworkStore]) -> None:
    for round_ in range(5):
        name = NetworkId(f"n{round_}")
        await networks[0].create_networks([network(name)])
        await networks[0].create_subnets([subnet(f"s{round_}", of=name)])
        made, gone = await asyncio.gather(
            networks[1].create_ports([numbered(round_ + 1, network_id=name)]),
            networks[2].delete_network(name),
            return_exceptions=True,
        )
        if isinstance(gone, Conflict):
            assert not isinstance(made, BaseException)
        else:
            assert isinstance(made, NotFound)
            assert gone == []


async def test_subnets_of_one_network_never_overlap(networks: list[SqlNetworkStore]) -> None:
    await networks[0].create_networks([network()])
    made, refused = await outcomes(
        [store.create_subnets([subnet(f"s{number}")]) for number, store in enumerate(networks)]
    )
    assert (len(made), len(refused)) == (1, WRITERS - 1)
    [kept] = await networks[0].networks(None)
    assert len(kept.subnets) == 1


async def test_a_project_has_one_default_group_and_no_rule_twice(networks: list[SqlNetworkStore]) -> None:
    def group(number: int) -> SecurityGroup:
        return SecurityGroup(id=f"g{number}", project_id=PROJECT, name="default", created_at=NOW, updated_at=NOW)

    made, refused = await outcomes([store.create_group(group(number)) for number, store in enumerate(networks)])
    assert [getattr(error, "kind", error) for error in refused] == ["SecurityGroupDefaultAlreadyExists"] * 2
    [default] = made

    def rule(number: int) -> SecurityGroupRule:
        return SecurityGroupRule(f"r{number}", default.id, PROJECT, "ingress", "IPv4", NOW, remote_group_id=default.id)

    _, refused = await outcomes([store.create_rules([rule(number)]) for number, store in enumerate(networks)])
    assert [getattr(error, "kind", error) for error in refused] == ["SecurityGroupRuleExists"] * 2
    [kept] = await networks[0].groups(None)
    assert (len(kept.rules), kept.revision_number) == (1, 2)


# ---- compute API


async def test_a_quota_is_not_passed_by_asking_at_once(computes: list[ComputeDatabase]) -> None:
    quota = Quota(instances=4)
    servers = [a_server(number) for number in range(12)]
    made, refused = await outcomes(
        [computes[number % WRITERS].add([server], [an_action(server)], quota) for number, server in enumerate(servers)]
    )
    assert (len(made), {type(error) for error in refused}) == (4, {Exhausted})
    assert (await computes[0].usage(PROJECT)).instances == 4


async def test_a_host_is_not_filled_beyond_its_size(computes: list[ComputeDatabase]) -> None:
    await hear(computes[0], "h1", memory_mib=TINY.ram * 3)
    servers = [a_server(number) for number in range(9)]
    await computes[0].add(servers, [an_action(server) for server in servers], Quota())
    placed, refused = await outcomes(
        [computes[number % WRITERS].place(server.id, placing) for number, server in enumerate(servers)]
    )
    assert (len(placed), {type(error) for error in refused}) == (3, {Exhausted})


async def test_of_two_that_compare_and_set_one_wins(computes: list[ComputeDatabase]) -> None:
    server = a_server()
    await computes[0].add([server], [an_action(server)], Quota())

    def claimed(row: Server, name: str) -> Server:
        if row.host is not None:
            raise Conflict("somebody has it")
        return replace(row, host=HostName(name))

    made, refused = await outcomes(
        [store.update(server.id, partial(claimed, name=f"h{number}")) for number, store in enumerate(computes)]
    )
    assert (len(made), {type(error) for error in refused}) == (1, {Conflict})


async def test_a_host_that_is_heard_by_many_is_one(computes: list[ComputeDatabase]) -> None:
    heartbeat = Heartbeat(HostName("h1"), 4, 1024, 100, "fake", started_at=NOW)
    await asyncio.gather(*(store.heard(heartbeat, uuid=f"u{n}", now=NOW) for n, store in enumerate(computes)))
    assert len(await computes[0].hosts()) == 1


async def test_a_user_has_no_more_keypairs_than_allowed(computes: list[ComputeDatabase]) -> None:
    pairs = [Keypair(0, USER, f"k{number}", "ssh", "ssh-rsa x", "aa:bb", NOW) for number in range(9)]
    made, refused = await outcomes(
        [computes[number % WRITERS].add_keypair(pair, limit=2) for number, pair in enumerate(pairs)]
    )
    assert (len(made), {type(error) for error in refused}) == (2, {Exhausted})


# ---- identity, images


async def test_a_name_is_taken_once(identities: list[DatabaseIdentityStore]) -> None:
    made, refused = await outcomes([store.add(Domain(f"d{number}", "same")) for number, store in enumerate(identities)])
    assert (len(made), {type(error) for error in refused}) == (1, {Conflict})


async def test_nothing_is_granted_on_what_goes(identities: list[DatabaseIdentityStore]) -> None:
    first = identities[0]
    await first.add(Domain("default", "Default"))
    await first.add(Role("r1", "member"))
    await first.add(User("u1", "alice", "default"))
    for round_ in range(5):
        project = Project(f"p{round_}", f"demo{round_}", "default", parent_id="default")
        await first.add(project)
        grant = Grant("u1", "r1", Scope(ScopeKind.PROJECT, project.id))
        await outcomes([identities[1].grant(grant), identities[2].delete(Project, project.id)])
    assert await first.grants() == []


async def test_a_revocation_only_grows(identities: list[DatabaseIdentityStore]) -> None:
    revoking = [
        Revocation("user:u1", NOW + timedelta(seconds=number), NOW + timedelta(hours=number)) for number in range(1, 13)
    ]
    await asyncio.gather(*(identities[number % WRITERS].revoke([one]) for number, one in enumerate(revoking)))
    assert await identities[0].revocations(NOW) == [revoking[-1]]
