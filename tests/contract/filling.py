"""Something of everything, put in through the stores: what a database is filled with before it is upgraded."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from tests.unit.ports import HOST, bind, new_port, report

from moorage.domain.action import InstanceAction
from moorage.domain.agent import Agent
from moorage.domain.attempt import first_placed
from moorage.domain.events import Judgement, Verdict
from moorage.domain.hops import Fact, Hop, SubFact
from moorage.domain.identity import Domain, Grant, Group, GroupGrant, Project, Revocation, Role, Scope, ScopeKind, User
from moorage.domain.ids import (
    FlavorId,
    Generation,
    HostName,
    ImageId,
    NetworkId,
    PortId,
    ProjectId,
    ServerId,
    SubnetId,
    UserId,
)
from moorage.domain.image import Image, ImageStatus, Member, MemberStatus, Visibility
from moorage.domain.ipam import AddressWanted
from moorage.domain.network import Network, Pool, Route, Subnet
from moorage.domain.port import reported_up
from moorage.domain.security_group import SecurityGroup, SecurityGroupRule
from moorage.domain.segments import Segment
from moorage.domain.server import Fault, Flavor, NicInfo, RequestedNic, Server
from moorage.network.service import Store
from moorage.seams.fact_store import FactStore
from moorage.seams.identity_store import IdentityStore
from moorage.seams.image_store import ImageStore
from moorage.seams.network_store import NewPort
from moorage.seams.server_store import Heartbeat, Keypair, Quota, ServerStore

NOW = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
PROJECT, USER = ProjectId("d" * 32), UserId("u" * 32)
SERVER, PORT, NETWORK, GENERATION = ServerId("s1"), PortId("p1"), NetworkId("n1"), Generation("1" * 32)
TINY = Flavor(FlavorId("1"), "tiny", vcpus=1, ram=128, disk=1, swap=1, description="small", extra_specs={"a": "b"})


async def fill_identity(store: IdentityStore) -> None:
    things = (
        Domain("default", "Default", "the first"),
        Project(PROJECT, "demo", "default", "a project", parent_id="default", tags=("b", "a")),
        User(USER, "alice", "default", "hash", email="a@example.org", description="ä", default_project_id=PROJECT),
        Role("r1", "member", "may"),
        Group("g1", "staff", "default", "a group"),
    )
    for thing in things:
        await store.add(thing)
    await store.grant(Grant(USER, "r1", Scope(ScopeKind.PROJECT, PROJECT)))
    await store.grant(Grant(USER, "r1", Scope(ScopeKind.SYSTEM, "all")))
    await store.join("g1", USER)
    await store.grant(GroupGrant("g1", "r1", Scope(ScopeKind.DOMAIN, "default")))
    await store.revoke([Revocation(f"user:{USER}", NOW, NOW + timedelta(days=1))])


async def fill_image(store: ImageStore) -> None:
    await store.add(FULL_IMAGE)
    await store.add(Image(ImageId("i2"), None, PROJECT, NOW, NOW))


FULL_IMAGE = Image(
    members=(Member(ProjectId("friend"), MemberStatus.ACCEPTED, NOW, NOW),),
    id=ImageId("i1"),
    name="disk",
    owner=PROJECT,
    created_at=NOW,
    updated_at=NOW,
    status=ImageStatus.ACTIVE,
    visibility=Visibility.PUBLIC,
    disk_format="raw",
    container_format="bare",
    min_disk=1,
    min_ram=2,
    size=1 << 40,
    checksum="c",
    hash_value="h",
    is_protected=True,
    is_hidden=True,
    tags=("b", "a"),
    properties={"x": "y"},
    upload="u",
)


async def fill_compute(store: ServerStore) -> None:
    await store.heard(Heartbeat(HOST, 4, 1 << 20, 100, "simulated", started_at=NOW), uuid="uuid of h1", now=NOW)
    await store.heard(Heartbeat(HostName("h2"), 4, 1 << 20, 100, "simulated", started_at=NOW), uuid="uuid 2", now=NOW)
    await store.set_enabled("uuid 2", is_enabled=False, reason="mending")
    await store.add_flavor(TINY)
    await store.grant_flavor(TINY.id, PROJECT)
    await store.set_quotas(PROJECT, {"cores": 8})
    await store.add_keypair(Keypair(0, USER, "k", "ssh", "ssh-rsa x", "aa:bb", NOW), limit=-1)
    servers = [
        Server(
            id=ServerId(f"s{number}"),
            project=PROJECT,
            user=USER,
            name=f"vm{number}",
            created=NOW + timedelta(seconds=number),
            updated=NOW + timedelta(seconds=number),
            flavor=TINY,
            image=ImageId("i1"),
            nics_wanted=(RequestedNic(network=NETWORK, fixed_ip="10.0.0.2"),),
            request_id=f"req-{number}",
            metadata={"k": "v"},
            security_groups=("default",),
            key_name="k",
            tags=("t",),
            extra={"group_names": ["g"]},
        )
        for number in (1, 2)
    ]
    actions = [
        InstanceAction(one.id, one.request_id, "create", USER, PROJECT, started=NOW, updated=NOW) for one in servers
    ]
    await store.add(servers, actions, Quota())
    await store.place(SERVER, lambda server, hosts: first_placed(server, hosts, GENERATION, NOW))
    nic = NicInfo(PORT, NETWORK, "net", "fa:16:3e:00:00:01", ("10.0.0.2",), is_ours=True)
    fault = Fault(500, "no", NOW, "details")
    await store.update(SERVER, lambda server: replace(server, plug_deadline=NOW, nics=(nic,), fault=fault))


async def fill_network(store: Store) -> None:
    network = Network(
        NETWORK, PROJECT, "net", (Segment(id="segment"),), NOW, NOW, "a network", shared=True, tags=("t",)
    )
    await store.create_networks([network])
    await store.set_quotas(PROJECT, {"port": 8})
    subnet = Subnet(
        SubnetId("sub1"),
        NETWORK,
        PROJECT,
        "subnet",
        "10.0.0.0/24",
        "10.0.0.1",
        (Pool("10.0.0.2", "10.0.0.254"),),
        NOW,
        NOW,
        dns_nameservers=("10.0.0.1",),
        host_routes=(Route("10.1.0.0/24", "10.0.0.9"),),
    )
    await store.create_subnets([subnet])
    group = SecurityGroup(id="g1", project_id=PROJECT, name="default", created_at=NOW, updated_at=NOW)
    rule = SecurityGroupRule(
        id="r1",
        group_id="g1",
        project_id=PROJECT,
        direction="ingress",
        ethertype="IPv4",
        created_at=NOW,
        remote_group_id="g1",
    )
    await store.create_group(replace(group, rules=(rule,)))
    await store.hear(Agent(id="a1", host=HOST, created_at=NOW, started_at=NOW, heard_at=NOW, has_dhcp=True, devices=2))
    of_group = new_port(security_groups=("g1",))
    addresses = (AddressWanted(address="10.0.0.2"),)
    await store.create_ports(
        [
            NewPort(of_group, addresses, then=bind),
            NewPort(new_port(id=PortId("p2"), mac_address="fa:16:3e:00:00:02"), then=bind),
        ]
    )
    await store.update_each(dict.fromkeys(await store.bound_to(HOST), partial(reported_up, report=report())))
    for item in await store.take(NOW, 2):
        verdict = Verdict.DEAD if item.event.tag == PORT else Verdict.AGAIN
        await store.settle([Judgement(verdict, item, "nobody home")], NOW)


async def fill_timeline(store: FactStore) -> None:
    fact = Fact(Hop.PLUGGED, NOW, 1.5, "compute", SERVER, PORT, GENERATION, 1, HOST, "tap")
    await store.add([fact, Fact(SubFact.DHCP_READY, NOW, 2.5, "network", port=PORT)])
