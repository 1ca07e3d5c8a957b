"""What every store of compute API promises (seams/server_store.py)."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from tests.contract.conftest import Opened

from moorage.adapters.database.compute import ComputeDatabase
from moorage.adapters.database.compute_tables import COMPUTE
from moorage.domain.action import InstanceAction, finished
from moorage.domain.attempt import first_placed, vanished
from moorage.domain.errors import Conflict, Exhausted, NotFound
from moorage.domain.ids import FlavorId, Generation, HostName, ImageId, NetworkId, PortId, ProjectId, ServerId, UserId
from moorage.domain.scheduling import HostState
from moorage.domain.server import Fault, Flavor, NicInfo, RequestedNic, Server, ServerEvent, moved
from moorage.seams.server_store import Heartbeat, Keypair, Quota, ServerQuery, ServerStore

NOW = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
PROJECT, OTHER, USER = ProjectId("p"), ProjectId("o"), UserId("u")
TINY = Flavor(FlavorId("1"), "tiny", vcpus=1, ram=128, disk=1, extra_specs={"a": "b"})


@pytest.fixture
async def store(opened: Opened) -> AsyncIterator[ServerStore]:
    async with opened(COMPUTE) as database:
        yield ComputeDatabase(database)


def a_server(number: int = 1, project: ProjectId = PROJECT) -> Server:
    return Server(
        id=ServerId(f"s{number}"),
        project=project,
        user=USER,
        name=f"vm{number}",
        created=NOW + timedelta(seconds=number),
        updated=NOW + timedelta(seconds=number),
        flavor=TINY,
        image=ImageId("i"),
        nics_wanted=(RequestedNic(fixed_ip="10.0.0.1"),),
        request_id=f"req-{number}",
        metadata={"k": "v"},
        tags=("t",),
        extra={"group_names": ["g"]},
    )


def an_action(server: Server, name: str = "create") -> InstanceAction:
    return InstanceAction(server.id, server.request_id, name, USER, server.project, started=NOW, updated=NOW)


async def add(store: ServerStore, *servers: Server, quota: Quota | None = None) -> None:
    await store.add(servers, [an_action(server) for server in servers], quota or Quota())


async def hear(store: ServerStore, name: str, memory_mib: int = 1024, at: datetime = NOW) -> None:
    heartbeat = Heartbeat(HostName(name), 4, memory_mib, 100, "fake", started_at=NOW)
    await store.heard(heartbeat, uuid=f"uuid of {name}", now=at)


def placing(server: Server, hosts: Sequence[HostState]) -> Server:
    return first_placed(server, hosts, Generation("1" * 32), NOW)


async def test_a_server_comes_back_as_it_went_in(store: ServerStore) -> None:
    server = replace(
        a_server(),
        plug_deadline=NOW,
        fault=Fault(500, "no", NOW, "details"),
        nics=(NicInfo(PortId("p"), NetworkId("n"), "net", "fa:16:3e:00:00:01", ("10.0.0.1",), is_ours=True),),
    )
    await add(store, server)
    assert await store.show(server.id, project=PROJECT) == server


async def test_a_project_sees_its_own(store: ServerStore) -> None:
    await add(store, a_server(1))
    await add(store, a_server(2, OTHER))
    with pytest.raises(NotFound):
        await store.show(ServerId("s2"), project=PROJECT)
    assert (await store.show(ServerId("s2"), project=None)).project == OTHER
    assert [server.id for server in await store.list(ServerQuery(project=PROJECT))] == ["s1"]
    assert [server.id for server in await store.list(ServerQuery())] == ["s2", "s1"]


async def test_lists_are_newest_first_and_paged(store: ServerStore) -> None:
    servers = [a_server(number) for number in range(5)]
    await add(store, *servers)
    page = await store.list(ServerQuery(created_before=(servers[3].created, servers[3].id), limit=2))
    assert [server.id for server in page] == ["s2", "s1"]
    changed = await store.list(ServerQuery(changed_since=servers[3].updated))
    assert [server.id for server in changed] == ["s4", "s3"]


async def test_limits_are_set_for_a_project_one_by_one_and_forgotten_together(store: ServerStore) -> None:
    assert await store.quotas(PROJECT) == {}
    await store.set_quotas(PROJECT, {"cores": 1, "ram": 2})
    await store.set_quotas(PROJECT, {"ram": -1})
    assert await store.quotas(PROJECT) == {"cores": 1, "ram": -1}
    assert await store.quotas(OTHER) == {}
    for _ in range(2):
        await store.clear_quotas(PROJECT)
        assert await store.quotas(PROJECT) == {}


async def test_a_quota_is_for_all_or_none(store: ServerStore) -> None:
    await add(store, a_server(1), quota=Quota(instances=2))
    with pytest.raises(Exhausted, match="Quota exceeded for instances"):
        await add(store, a_server(2), a_server(3), quota=Quota(instances=2))
    with pytest.raises(Exhausted, match="Quota exceeded for ram"):
        await add(store, a_server(2), quota=Quota(memory_mib=200))
    assert (await store.usage(PROJECT)).instances == 1


async def test_what_a_change_raises_undoes_it(store: ServerStore) -> None:
    await add(store, a_server())

    def change(server: Server) -> Server:
        raise Conflict("no")

    with pytest.raises(Conflict):
        await store.update(ServerId("s1"), change, begins=lambda before, _: an_action(before, "stop"))
    assert len(await store.actions(ServerId("s1"))) == 1
    with pytest.raises(NotFound):
        await store.update(ServerId("s9"), change)


async def test_actions_begin_and_end_with_the_change(store: ServerStore) -> None:
    await add(store, a_server())

    def asked(server: Server) -> Server:
        return replace(moved(server, ServerEvent.DELETE, NOW), request_id="req-9")

    await store.update(
        ServerId("s1"),
        asked,
        begins=lambda _, after: an_action(after, "delete"),
        ends=partial(finished, now=NOW, error="deleted meanwhile"),
    )
    delete, create = await store.actions(ServerId("s1"))
    assert (delete.action, delete.request_id, delete.message) == ("delete", "req-9", None)
    assert (create.action, create.message) == ("create", "Error")


async def test_a_deleted_server_is_seen_only_when_asked_for(store: ServerStore) -> None:
    await add(store, a_server())
    server = ServerId("s1")
    await store.update(server, lambda row: vanished(moved(row, ServerEvent.DELETE, NOW), NOW))
    with pytest.raises(NotFound):
        await store.show(server, project=PROJECT)
    with pytest.raises(NotFound):
        await store.update(server, lambda row: row)
    assert (await store.show(server, project=PROJECT, is_deleted=None)).terminated_at == NOW
    assert await store.list(ServerQuery()) == []
    assert len(await store.list(ServerQuery(is_deleted=True))) == 1
    assert (await store.usage(PROJECT)).instances == 0


async def test_claims_are_what_is_placed_at_this_moment(store: ServerStore) -> None:
    await hear(store, "h1", memory_mib=300)
    servers = [a_server(number) for number in range(3)]
    await add(store, *servers)
    for server in servers[:2]:
        assert (await store.place(server.id, placing)).host == "h1"
    with pytest.raises(Exhausted):
        await store.place(servers[2].id, placing)
    [host] = await store.hosts()
    assert (host.state.used_memory_mib, host.state.used_vcpus, host.state.used_disk_gib, host.servers) == (256, 2, 2, 2)
    await store.update(servers[0].id, lambda row: vanished(moved(row, ServerEvent.DELETE, NOW), NOW))
    assert (await store.place(servers[2].id, placing)).host == "h1"
    assert {server.id for server in await store.list(ServerQuery(host=HostName("h1")))} == {"s1", "s2"}


async def test_a_host_keeps_its_ids(store: ServerStore) -> None:
    await hear(store, "h1")
    await hear(store, "h2")
    await store.heard(
        Heartbeat(HostName("h1"), 8, 2048, 100, "fake", started_at=NOW), uuid="another", now=NOW + timedelta(seconds=3)
    )
    first, second = await store.hosts()
    assert (first.number, first.uuid, first.state.memory_mib) == (1, "uuid of h1", 2048)
    assert first.state.heard_at == NOW + timedelta(seconds=3)
    await store.set_enabled(second.uuid, is_enabled=False, reason="mending")
    await hear(store, "h2")
    second = (await store.hosts())[1]
    assert (second.state.is_enabled, second.disabled_reason) == (False, "mending")
    with pytest.raises(NotFound):
        await store.set_enabled("nope", is_enabled=False, reason=None)


async def test_flavors_are_kept_apart_by_id_and_name(store: ServerStore) -> None:
    await store.add_flavor(TINY)
    assert await store.flavor(TINY.id) == TINY
    for twin in (replace(TINY, name="x"), replace(TINY, id=FlavorId("2"))):
        with pytest.raises(Conflict):
            await store.add_flavor(twin)
    await store.grant_flavor(TINY.id, PROJECT)
    with pytest.raises(Conflict):
        await store.grant_flavor(TINY.id, PROJECT)
    assert await store.flavor_access(TINY.id) == [PROJECT]
    await store.revoke_flavor(TINY.id, PROJECT)
    with pytest.raises(NotFound):
        await store.revoke_flavor(TINY.id, PROJECT)
    await store.grant_flavor(TINY.id, PROJECT)
    await store.update_flavor(TINY.id, lambda flavor: replace(flavor, extra_specs={}))
    assert (await store.flavor(TINY.id)).extra_specs == {}
    await store.delete_flavor(TINY.id)
    assert (await store.flavors(), await store.flavor_access(TINY.id)) == ([], [])
    with pytest.raises(NotFound):
        await store.delete_flavor(TINY.id)


async def test_keypairs_are_a_users_own(store: ServerStore) -> None:
    pair = Keypair(0, USER, "k", "ssh", "ssh-rsa x", "aa:bb", NOW)
    made = await store.add_keypair(pair, limit=1)
    assert made.id > 0
    assert await store.keypair(USER, "k") == made
    with pytest.raises(Conflict):
        await store.add_keypair(pair, limit=-1)
    with pytest.raises(Exhausted):
        await store.add_keypair(replace(pair, name="l"), limit=1)
    await store.add_keypair(replace(pair, user=UserId("v")), limit=1)
    assert await store.keypairs(USER) == [made]
    await store.delete_keypair(USER, "k")
    for act in (store.keypair, store.delete_keypair):
        with pytest.raises(NotFound):
            await act(USER, "k")


async def test_what_was_committed_is_there_after_a_restart(kept: Opened) -> None:
    async with kept(COMPUTE) as database:
        await add(ComputeDatabase(database), a_server())
    async with kept(COMPUTE) as database:
        assert await ComputeDatabase(database).show(ServerId("s1"), project=PROJECT) == a_server()
