"""What every network store promises: one writer, isolation, addresses once, news in the same transaction."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from tests.contract.clocks import Still
from tests.contract.conftest import Opened
from tests.unit.ports import HOST, NOW, SERVER, bind, new_port, report

from moorage.adapters.database.engine import Database
from moorage.adapters.database.network import SqlNetworkStore
from moorage.adapters.database.network_tables import NETWORK, PortRow
from moorage.domain.agent import Agent
from moorage.domain.errors import Conflict, Exhausted, Invalid, MoorageError, NotFound, Stale
from moorage.domain.events import EventName, Judgement, Verdict, judge
from moorage.domain.ids import HostName, NetworkId, PortId, ProjectId, SubnetId
from moorage.domain.ipam import AddressWanted
from moorage.domain.network import Network, Pool, Subnet
from moorage.domain.port import Port, PortStatus, Provisioner, details_asked, reported_down, reported_up
from moorage.domain.security_group import SecurityGroup, SecurityGroupRule
from moorage.domain.segments import Segment
from moorage.seams.network_store import Changed, NewPort

DEMO, OTHER = ProjectId("d" * 32), ProjectId("e" * 32)
NET = NetworkId("n1")
P1, P2 = PortId("p1"), PortId("p2")
PLUGGED, UNPLUGGED, DELETED, CHANGED = (
    EventName.VIF_PLUGGED,
    EventName.VIF_UNPLUGGED,
    EventName.VIF_DELETED,
    EventName.CHANGED,
)


@pytest.fixture
async def database(opened: Opened) -> AsyncIterator[Database]:
    async with opened(NETWORK) as database:
        yield database


@pytest.fixture
def store(database: Database) -> SqlNetworkStore:
    return SqlNetworkStore(database, Still(NOW))


def network(name: str = "n1", project: ProjectId = DEMO, *, shared: bool = False) -> Network:
    return Network(
        id=NetworkId(name),
        project_id=project,
        name=name,
        segments=(Segment(id=f"segment of {name}"),),
        created_at=NOW,
        updated_at=NOW,
        shared=shared,
    )


def subnet(name: str = "s1", cidr: str = "10.0.0.0/29", of: NetworkId = NET) -> Subnet:
    start = cidr.split("/")[0].removesuffix(".0")
    return Subnet(
        id=SubnetId(name),
        network_id=of,
        project_id=DEMO,
        name=name,
        cidr=cidr,
        gateway_ip=f"{start}.1",
        allocation_pools=(Pool(f"{start}.2", f"{start}.6"),),
        created_at=NOW,
        updated_at=NOW,
    )


def numbered(number: int, **fields: object) -> NewPort:
    return NewPort(new_port(id=PortId(f"p{number}"), mac_address=f"fa:16:3e:00:00:{number:02x}", **fields))


async def with_port(store: SqlNetworkStore, *, host: HostName | None = HOST, generation: str | None = "g1") -> Port:
    """A network, a subnet, a port of a server, bound unless `host` is None."""
    await store.create_networks([network()])
    await store.create_subnets([subnet()])
    await store.create_ports([numbered(1)])
    if host is None:
        return (await store.ports(None, ids=[P1]))[0]
    return (await store.update(P1, partial(bind, host=host, generation=generation))).after


async def drain(store: SqlNetworkStore) -> list[EventName]:
    """The names of all that waits, delivered."""
    names = []
    while items := await store.take(NOW, 100):
        names += [item.event.name for item in items]
        await store.settle([judge(item, 200, NOW) for item in items], NOW)
    return names


# ---- quotas


async def test_limits_are_set_for_a_project_one_by_one_and_forgotten_together(store: SqlNetworkStore) -> None:
    await store.set_quotas(DEMO, {"port": 1, "subnet": 2})
    await store.set_quotas(DEMO, {"subnet": -1})
    assert await store.quotas_of(DEMO) == {"port": 1, "subnet": -1}
    assert await store.quotas() == {DEMO: {"port": 1, "subnet": -1}}
    for _ in range(2):
        await store.clear_quotas(DEMO)
        assert (await store.quotas_of(DEMO), await store.quotas()) == ({}, {})


async def test_nobody_makes_more_than_the_project_may_have(store: SqlNetworkStore) -> None:
    await store.set_quotas(DEMO, {"network": 1, "subnet": 1, "port": 2})
    with pytest.raises(Exhausted) as refused:
        await store.create_networks([network("n1"), network("n2")])
    assert refused.value.kind == "OverQuota"
    assert await store.networks(None) == []
    await store.create_networks([network("n1"), network("n9", ProjectId("another"))])
    await store.create_subnets([subnet()])
    with pytest.raises(Exhausted):
        await store.create_subnets([subnet("s2", "10.0.1.0/29")])
    await store.create_ports([numbered(1)])
    with pytest.raises(Exhausted):
        await store.create_ports([numbered(2), numbered(3)])
    await store.create_ports([numbered(2)])
    await store.create_ports([numbered(4, device_owner="network:dhcp")])  # which nobody has asked for


# ---- ports


async def test_an_update_moves_the_revision_the_time_and_makes_the_news(store: SqlNetworkStore) -> None:
    port = await with_port(store)
    await drain(store)
    changed = await store.update(P1, partial(reported_up, report=report()))
    assert changed.before == port
    assert (changed.after.status, changed.after.revision_number) == (PortStatus.ACTIVE, port.revision_number + 1)
    assert (await store.ports(None, ids=[P1])) == [changed.after]
    assert await drain(store) == [PLUGGED]


async def test_a_change_without_effect_writes_nothing(store: SqlNetworkStore) -> None:
    port = await with_port(store)
    await drain(store)
    for rule in (lambda before: before, lambda before: replace(before), partial(bind, generation="g1")):
        changed = await store.update(P1, rule)
        assert changed.after is changed.before
    assert (await store.ports(None, ids=[P1])) == [port]
    assert await drain(store) == []


async def test_what_only_the_network_sees_moves_no_revision(store: SqlNetworkStore) -> None:
    port = await with_port(store)
    await store.update(P1, partial(reported_down, report=report(5)))
    [kept] = await store.ports(None, ids=[P1])
    assert kept.last_mark == report(5).mark
    assert kept.revision_number == port.revision_number


async def test_a_stale_or_unknown_port_is_left_alone(store: SqlNetworkStore) -> None:
    port = await with_port(store)
    rename = partial(replace, name="new")
    with pytest.raises(Stale):
        await store.update(P1, rename, if_revision=port.revision_number + 1)
    with pytest.raises(Stale):
        await store.delete_port(P1, if_revision=port.revision_number - 1)
    with pytest.raises(NotFound) as raised:
        await store.update(P2, rename)
    assert raised.value.kind == "PortNotFound"
    assert (await store.ports(None)) == [port]


async def test_a_rule_that_raises_leaves_no_trace(store: SqlNetworkStore) -> None:
    port = await with_port(store)

    def refuse(_: Port) -> Port:
        raise Conflict("no")

    with pytest.raises(Conflict):
        await store.update(P1, refuse)
    assert (await store.ports(None)) == [port]


async def test_one_bad_port_holds_up_no_other(store: SqlNetworkStore) -> None:
    await with_port(store)
    await store.create_ports([numbered(2)])

    def refuse(_: Port) -> Port:
        raise Conflict("no")

    done = await store.update_each({P2: refuse, PortId("p9"): refuse, P1: partial(reported_up, report=report())})
    assert isinstance(done[P2], Conflict)
    assert isinstance(done[PortId("p9")], NotFound)
    assert isinstance(done[P1], Changed)
    assert (await store.ports(None, ids=[P1]))[0].status is PortStatus.ACTIVE


async def test_a_full_look_moves_the_marks_of_all_and_nothing_else(store: SqlNetworkStore) -> None:
    await with_port(store)
    await store.create_ports(
        [replace(numbered(2), then=bind), replace(numbered(3), then=partial(bind, host=HostName("h2")))]
    )
    await store.update_each(dict.fromkeys(await store.bound_to(HOST), partial(reported_up, report=report(1))))
    before = list(await store.ports(None))
    await drain(store)
    done = await store.update_each(dict.fromkeys(await store.bound_to(HOST), partial(reported_up, report=report(7))))
    assert set(done) == {P1, P2}
    after = await store.ports(None)
    assert after == [replace(one, last_mark=report(7).mark) for one in before[:2]] + before[2:]
    assert await drain(store) == []
    late = await store.update(P1, partial(reported_down, report=report(6)))
    assert late.after.status is PortStatus.ACTIVE
    seen = await store.update(P1, partial(details_asked, report=report(8)))
    assert seen.after.last_mark == report(8).mark


async def test_addresses_are_given_once_and_come_back(store: SqlNetworkStore) -> None:
    await with_port(store)
    made = await store.create_ports([numbered(number) for number in (2, 3, 4, 5)])
    assert [port.fixed_ips[0].ip_address for port in made] == ["10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
    with pytest.raises(MoorageError) as raised:
        await store.create_ports([numbered(6)])
    assert raised.value.kind == "IpAddressGenerationFailure"
    await store.delete_port(PortId("p3"))
    [port] = await store.create_ports([numbered(6)])
    assert port.fixed_ips[0].ip_address == "10.0.0.4"


async def test_ports_are_made_all_or_none(store: SqlNetworkStore) -> None:
    await with_port(store)
    with pytest.raises(Conflict) as raised:
        await store.create_ports([numbered(2), numbered(1)])
    assert raised.value.kind == "PortExists"
    same_mac = NewPort(new_port(id=P2))
    with pytest.raises(Conflict) as raised:
        await store.create_ports([same_mac])
    assert raised.value.kind == "MacAddressInUse"
    with pytest.raises(NotFound):
        await store.create_ports([numbered(2, network_id=NetworkId("none"))])
    with pytest.raises(NotFound):
        await store.create_ports([numbered(2, security_groups=("none",))])
    assert [port.id for port in await store.ports(None)] == [P1]


async def test_new_addresses_are_chosen_before_the_rule_sees_the_port(store: SqlNetworkStore) -> None:
    await with_port(store)
    wanted = [AddressWanted(address="10.0.0.2"), AddressWanted(address="10.0.0.6")]
    changed = await store.update(P1, lambda port: replace(port, name=str(len(port.fixed_ips))), addresses=wanted)
    assert [ip.ip_address for ip in changed.after.fixed_ips] == ["10.0.0.2", "10.0.0.6"]
    assert changed.after.name == "2"
    await store.update(P1, lambda port: port, addresses=[])
    [port] = await store.create_ports([numbered(2)])
    assert port.fixed_ips[0].ip_address == "10.0.0.2"


async def test_ports_are_found_by_what_they_are(store: SqlNetworkStore) -> None:
    await with_port(store)
    await store.create_ports([numbered(2, project_id=OTHER, device_id="")])

    async def found(**query: object) -> list[str]:
        return [port.id for port in await store.ports(**{"seen_by": None, **query})]  # type: ignore[arg-type]

    assert await found() == ["p1", "p2"]
    assert await found(seen_by=DEMO) == ["p1"]
    assert await found(seen_by=OTHER, ids=["p1", "p2"]) == ["p2"]
    assert await found(networks=[NET]) == ["p1", "p2"]
    assert await found(devices=[SERVER]) == ["p1"]
    assert await found(host=HOST) == ["p1"]
    assert await found(ids=[]) == []
    assert await store.hosts_of(NET) == {HOST}


async def test_nobody_writes_a_port_but_the_store(database: Database, store: SqlNetworkStore) -> None:
    await with_port(store)

    def behind_its_back(session: Session) -> None:
        session.scalars(select(PortRow)).one().status = "ACTIVE"

    with pytest.raises(AssertionError, match=r"outside store\.update"):
        await database.run("cheating", behind_its_back)


# ---- networks and subnets


async def test_networks_are_seen_by_their_own_project_and_when_shared(store: SqlNetworkStore) -> None:
    await store.create_networks([network(), network("n2", OTHER), network("n3", OTHER, shared=True)])
    await store.create_subnets([subnet(of=NetworkId("n2")), replace(subnet("s3"), network_id=NetworkId("n3"))])
    own = [one.id for one in await store.networks(DEMO)]
    assert own == ["n1", "n3"]
    assert [one.id for one in await store.networks(None)] == ["n1", "n2", "n3"]
    assert await store.networks(DEMO, ids=[NetworkId("n2")]) == []
    assert {one.id for one in await store.subnets(OTHER)} == {"s3"}  # s1 is another project's, of a net not shared


async def test_a_subnet_raises_its_networks_revision(store: SqlNetworkStore) -> None:
    await store.create_networks([network()])
    await store.create_subnets([subnet()])
    [made] = await store.networks(None)
    assert (made.subnets, made.revision_number) == ((SubnetId("s1"),), 2)
    await store.update_subnet(SubnetId("s1"), partial(replace, name="new"))
    assert (await store.networks(None))[0].revision_number == 3
    with pytest.raises(Stale):
        await store.update_subnet(SubnetId("s1"), partial(replace, name="newer"), if_revision=1)
    with pytest.raises(Invalid, match="overlaps with another subnet"):
        await store.create_subnets([subnet("s2", "10.0.0.0/24")])
    with pytest.raises(NotFound):
        await store.create_subnets([subnet("s2", "10.2.0.0/24", NetworkId("none"))])
    await store.delete_subnet(SubnetId("s1"))
    assert (await store.networks(None))[0].subnets == ()


async def test_networks_go_with_their_dhcp_ports_but_not_with_others(store: SqlNetworkStore) -> None:
    await with_port(store)
    await store.create_ports([numbered(2, device_owner="network:dhcp", device_id="dhcp-h1-n1")])
    with pytest.raises(Conflict) as raised:
        await store.delete_network(NET)
    assert raised.value.kind == "NetworkInUse"
    with pytest.raises(Conflict) as raised:
        await store.delete_subnet(SubnetId("s1"))
    assert raised.value.kind == "SubnetInUse"
    await store.delete_port(P1)
    assert [port.id for port in await store.delete_network(NET)] == [P2]
    assert (await store.networks(None), await store.subnets(None), await store.ports(None)) == ([], [], [])


# ---- groups and agents


async def test_groups_have_one_default_and_go_with_their_rules(store: SqlNetworkStore) -> None:
    group = SecurityGroup(id="g1", project_id=DEMO, name="default", created_at=NOW, updated_at=NOW)
    rule = SecurityGroupRule(
        id="r1", group_id="g1", project_id=DEMO, direction="ingress", ethertype="IPv4", created_at=NOW
    )
    await store.create_group(replace(group, rules=(rule,)))
    with pytest.raises(Conflict):
        await store.create_group(replace(group, id="g2"))
    assert await store.default_group(DEMO) == replace(group, rules=(rule,))
    assert await store.default_group(OTHER) is None
    await store.create_group(replace(group, id="g3", name="web"))
    await store.create_rules([replace(rule, id="r2", group_id="g3", remote_group_id="g1")])
    with pytest.raises(Conflict) as raised:
        await store.create_rules([replace(rule, id="r3", description="the same again")])
    assert raised.value.kind == "SecurityGroupRuleExists"
    [web] = await store.groups(DEMO, ids=["g3"])
    assert (len(web.rules), web.revision_number) == (1, 2)
    await store.delete_group("g1")
    [web] = await store.groups(DEMO)
    assert web.rules == ()
    assert await store.groups(OTHER) == []
    with pytest.raises(NotFound):
        await store.delete_rule("r1")


async def test_members_are_what_ports_of_a_group_may_send_from_and_hosts_those_that_it_concerns(
    store: SqlNetworkStore,
) -> None:
    await store.create_networks([network()])
    await store.create_subnets([subnet()])
    for name in ("g", "h", "alone"):
        await store.create_group(SecurityGroup(id=name, project_id=DEMO, name=name, created_at=NOW, updated_at=NOW))
    names = SecurityGroupRule("r1", "h", DEMO, "ingress", "IPv4", NOW, remote_group_id="g")
    await store.create_rules([names])
    pairs = ({"ip_address": "10.9.0.0/24"}, {"ip_address": "fe80::7", "mac_address": "fa:16:3e:00:00:99"})
    await store.create_ports(
        [
            numbered(1, security_groups=("g", "h"), allowed_address_pairs=pairs),
            numbered(2, security_groups=("h",)),
            numbered(3, security_groups=()),
        ]
    )
    assert await store.members(["g", "h", "alone", "unknown"]) == {
        "g": [(NET, "10.0.0.2"), (NET, "10.9.0.0/24"), (NET, "fe80::7")],
        "h": [(NET, "10.0.0.2"), (NET, "10.0.0.3"), (NET, "10.9.0.0/24"), (NET, "fe80::7")],
    }
    assert await store.members([]) == {}
    await store.update(PortId("p1"), lambda port: bind(port, host=HostName("h1")))
    await store.update(PortId("p2"), lambda port: bind(port, host=HostName("h2")))
    await store.update(PortId("p3"), lambda port: bind(port, host=HostName("h3")))
    assert await store.hosts_using(["g"]) == {"h1", "h2"}, "of its ports, and of those whose rules name it"
    assert await store.hosts_using(["h"]) == {"h1", "h2"}
    assert await store.hosts_using(["alone"]) == set()
    await store.delete_rule("r1")
    assert await store.hosts_using(["g"]) == {"h1"}


async def test_a_heartbeat_keeps_what_an_admin_set(store: SqlNetworkStore) -> None:
    agent = Agent(id="a1", host=HOST, created_at=NOW, started_at=NOW, heard_at=NOW)
    await store.hear(agent)
    await store.update_agent("a1", partial(replace, description="old"))
    later = NOW + timedelta(seconds=3)
    await store.hear(replace(agent, id="a2", created_at=later, heard_at=later, has_dhcp=True, devices=7))
    [heard] = await store.agents(hosts=[HOST])
    assert heard == replace(agent, heard_at=later, has_dhcp=True, devices=7, description="old")
    await store.delete_agent("a1")
    with pytest.raises(NotFound):
        await store.delete_agent("a1")


# ---- the outbox


async def test_newer_status_news_replaces_older_that_waits(store: SqlNetworkStore) -> None:
    await with_port(store)
    await drain(store)
    await store.update(P1, partial(reported_up, report=report(1)))
    await store.update(P1, partial(reported_down, report=report(2)))
    await store.update(P1, partial(reported_up, report=report(3)))
    assert await drain(store) == [PLUGGED]


async def test_what_is_in_flight_is_not_replaced_but_overtaken(store: SqlNetworkStore) -> None:
    await with_port(store)
    await drain(store)
    await store.update(P1, partial(reported_up, report=report(1)))
    [flying] = await store.take(NOW, 100)
    await store.update(P1, partial(reported_down, report=report(2)))
    assert await store.take(NOW, 100) == []  # the port's older news is on its way
    await store.settle([judge(flying, 422, NOW)], NOW)
    [item] = await store.take(NOW, 100)
    assert item.event.name is UNPLUGGED


async def test_changes_are_coalesced_and_deletion_replaces_everything(store: SqlNetworkStore) -> None:
    await with_port(store)
    for name in ("a", "b"):
        await store.update(P1, partial(replace, name=name))
    await store.update(P1, partial(reported_up, report=report(1)))
    assert await drain(store) == [CHANGED, PLUGGED]
    await store.update(P1, partial(replace, name="c"))
    await store.delete_port(P1)
    assert await drain(store) == [DELETED]


async def test_an_item_that_is_not_due_holds_up_its_port_only(store: SqlNetworkStore) -> None:
    await with_port(store)
    await store.create_ports([replace(numbered(2), then=bind)])
    await drain(store)
    await store.update_each(dict.fromkeys(await store.bound_to(HOST), partial(reported_up, report=report(1))))
    first, second = await store.take(NOW, 100)
    assert (first.event.tag, second.event.tag) == (P1, P2)
    await store.settle([judge(first, 404, NOW), judge(second, 200, NOW)], NOW)
    await store.update(P1, partial(replace, name="x"))
    await store.update(P2, partial(replace, name="y"))
    [item] = await store.take(NOW, 100)
    assert (item.event.tag, item.event.name) == (P2, CHANGED)
    await store.settle([judge(item, 200, NOW)], NOW)
    due = await store.next_due(NOW)
    assert due == NOW + timedelta(seconds=15)
    [again] = await store.take(due, 100)
    assert (again.event.name, again.not_found, again.generation) == (PLUGGED, 1, "g1")


async def test_the_dead_are_kept_with_the_reason(store: SqlNetworkStore) -> None:
    await with_port(store)
    await drain(store)
    await store.update(P1, partial(reported_up, report=report(1)))
    [item] = await store.take(NOW, 100)
    await store.settle([Judgement(Verdict.DEAD, item, "nobody home")], NOW)
    [dead] = await store.dead()
    assert (dead.item, dead.reason, dead.died_at) == (item, "nobody home", NOW)
    assert await store.next_due(NOW) is None


async def test_of_the_dead_the_last_are_kept_the_last_one_first(database: Database) -> None:
    store = SqlNetworkStore(database, Still(NOW), dead_kept=3)
    await with_port(store)
    await store.create_ports([replace(numbered(number), then=bind) for number in (2, 3, 4, 5)])
    await drain(store)
    await store.update_each(dict.fromkeys(await store.bound_to(HOST), partial(reported_up, report=report(1))))
    items = await store.take(NOW, 100)
    for item in reversed(items):  # the order of dying counts, not that of being born
        await store.settle([Judgement(Verdict.DEAD, item, "")], NOW)
    assert [dead.item.event.tag for dead in await store.dead()] == ["p1", "p2", "p3"]
    assert [dead.item.event.tag for dead in await store.dead(1)] == ["p1"]


async def test_a_subnet_that_loses_dhcp_makes_ready_who_waited_for_it_alone(store: SqlNetworkStore) -> None:
    await store.create_networks([network()])
    await store.create_subnets([subnet(), subnet("s2", "10.1.0.0/24")])

    def new(number: int, *subnets: str, is_wired: bool) -> NewPort:
        wanted = tuple(AddressWanted(SubnetId(one)) for one in subnets)
        waiting = partial(bind, needs_dhcp=True)
        one = replace(numbered(number), addresses=wanted, then=waiting)
        return replace(one, then=lambda port: reported_up(waiting(port), report())) if is_wired else one

    await store.create_ports(
        [new(1, "s1", is_wired=True), new(2, "s1", is_wired=False), new(3, "s1", "s2", is_wired=True)]
    )
    await drain(store)
    assert (await store.update_subnet(SubnetId("s1"), partial(replace, name="new"))).ports == []
    changed = await store.update_subnet(SubnetId("s1"), partial(replace, enable_dhcp=False))
    assert not changed.after.enable_dhcp
    assert {one.after.id: one.after.awaiting for one in changed.ports} == {P1: frozenset(), P2: {Provisioner.L2}}
    statuses = [port.status for port in await store.ports(None)]
    assert statuses == [PortStatus.ACTIVE, PortStatus.DOWN, PortStatus.DOWN]
    assert await drain(store) == [PLUGGED]
    assert (await store.update_subnet(SubnetId("s1"), partial(replace, enable_dhcp=True))).ports == []


async def test_news_that_is_replaced_never_was_and_its_tries_do_not_count(store: SqlNetworkStore) -> None:
    await with_port(store)
    await drain(store)
    await store.update(P1, partial(reported_up, report=report(1)))
    for sequence in (2, 3, 4):
        [item] = await store.take(NOW + timedelta(hours=sequence), 100)
        assert item.not_found == 0
        await store.settle([judge(item, 404, NOW)], NOW)
        change = reported_down if sequence % 2 == 0 else reported_up
        await store.update(P1, partial(change, report=report(sequence)))
    assert await drain(store) == [UNPLUGGED]
    assert await store.dead() == []


async def test_what_was_in_flight_when_it_crashed_is_taken_again(kept: Opened) -> None:
    async with kept(NETWORK) as database:
        store = SqlNetworkStore(database, Still(NOW))
        await with_port(store)
        await drain(store)
        await store.update(P1, partial(reported_up, report=report(1)))
        taken = await store.take(NOW, 100)
        assert await store.take(NOW, 100) == []
        await store.untake()
        assert await store.take(NOW, 100) == taken
    async with kept(NETWORK) as database:
        assert await SqlNetworkStore(database, Still(NOW)).take(NOW, 100) == taken
