"""What every store of identity does (seams/identity_store.py)."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.contract.conftest import Opened

from moorage.adapters.database.identity import DatabaseIdentityStore
from moorage.adapters.database.identity_tables import IDENTITY
from moorage.domain.errors import Conflict, Invalid, NotFound
from moorage.domain.identity import Domain, Grant, Group, GroupGrant, Project, Revocation, Role, Scope, ScopeKind, User
from moorage.seams.identity_store import IdentityStore

NOW = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
DEFAULT = Domain("default", "Default")
OTHER = Domain("d2", "Other", "the other one", is_enabled=False)
DEMO = Project("p1", "demo", "default", parent_id="default", tags=("b", "a"))
ALICE = User("u1", "alice", "default", "hash", email="a@example.org")
MEMBER = Role("r1", "member")
STAFF = Group("g1", "staff", "default", "all")
ON_DEMO = Scope(ScopeKind.PROJECT, "p1")
SYSTEM = Scope(ScopeKind.SYSTEM, "all")


@pytest.fixture
async def store(opened: Opened) -> AsyncIterator[IdentityStore]:
    async with opened(IDENTITY) as database:
        yield DatabaseIdentityStore(database)


async def fill(store: IdentityStore) -> None:
    for thing in (DEFAULT, OTHER, DEMO, ALICE, MEMBER):
        await store.add(thing)


async def test_things_come_back_as_they_were(store: IdentityStore) -> None:
    await fill(store)
    assert await store.get(Domain, "d2") == OTHER
    assert await store.get(Project, "p1") == DEMO
    assert await store.get(User, "u1") == ALICE
    assert await store.get(Role, "r1") == MEMBER
    assert await store.find(Domain) == [DEFAULT, OTHER]
    assert await store.find(Domain, {"is_enabled": False}) == [OTHER]
    assert await store.find(User, {"name": "alice", "domain_id": "d2"}) == []


async def test_what_is_absent_is_not_found(store: IdentityStore) -> None:
    with pytest.raises(NotFound):
        await store.get(User, "u1")
    with pytest.raises(NotFound):
        await store.update(User, "u1", lambda user: user)
    with pytest.raises(NotFound):
        await store.delete(User, "u1")


async def test_a_name_is_taken_once_in_a_domain(store: IdentityStore) -> None:
    await fill(store)
    with pytest.raises(Conflict):
        await store.add(replace(DEMO, id="p2"))
    await store.add(replace(DEMO, id="p2", domain_id="d2"))
    await store.add(replace(DEMO, id="p3", name="third"))
    with pytest.raises(Conflict):
        await store.update(Project, "p3", lambda project: replace(project, name="demo"))
    assert (await store.get(Project, "p3")).name == "third"


async def test_a_change_that_raises_changes_nothing_and_revokes_nothing(store: IdentityStore) -> None:
    await fill(store)

    def refuse(_: User) -> User:
        raise Invalid("no")

    with pytest.raises(Invalid):
        await store.update(User, "u1", refuse, [Revocation("user:u1", NOW, NOW)])
    assert await store.get(User, "u1") == ALICE
    assert await store.revocations(NOW - timedelta(days=1)) == []


async def test_members_of_a_group_have_what_was_granted_to_it(store: IdentityStore) -> None:
    await fill(store)
    await store.add(STAFF)
    grant = GroupGrant("g1", "r1", ON_DEMO)
    for _ in range(2):
        await store.join("g1", "u1")
        await store.grant(grant)
    await store.grant(Grant("u1", "r1", SYSTEM))
    assert (await store.members("g1"), await store.groups_of("u1")) == ([ALICE], [STAFF])
    assert await store.effective("u1") == [Grant("u1", "r1", SYSTEM), grant]
    assert await store.effective("u1", ON_DEMO) == [grant]
    assert await store.group_grants(group="g1", scope=ON_DEMO, role="r1") == [grant]
    assert await store.group_grants(role="no") == []
    revocation = Revocation("member:g1:u1", NOW, NOW)
    await store.leave("g1", "u1", [revocation])
    assert await store.effective("u1", ON_DEMO) == []
    assert await store.revocations(NOW - timedelta(days=1)) == [revocation]
    with pytest.raises(NotFound):
        await store.leave("g1", "u1")
    await store.withdraw(grant)
    with pytest.raises(NotFound):
        await store.withdraw(grant)
    for absent in (store.join("no", "u1"), store.join("g1", "no"), store.grant(GroupGrant("no", "r1", ON_DEMO))):
        with pytest.raises(NotFound):
            await absent


async def test_a_group_goes_with_all_that_names_it(store: IdentityStore) -> None:
    await fill(store)
    for group, domain in (("g1", "default"), ("g2", "d2"), ("g3", "default")):
        await store.add(replace(STAFF, id=group, name=group, domain_id=domain))
        await store.join(group, "u1")
        await store.grant(GroupGrant(group, "r1", ON_DEMO))
    await store.delete(Group, "g1")
    await store.delete(Domain, "d2")
    assert [group.id for group in await store.groups_of("u1")] == ["g3"]
    assert [grant.group_id for grant in await store.group_grants()] == ["g3"]
    await store.delete(Project, "p1")
    assert await store.group_grants() == []
    await store.delete(User, "u1")
    assert await store.members("g3") == []


async def test_grants_are_given_twice_and_withdrawn_once(store: IdentityStore) -> None:
    await fill(store)
    grant = Grant("u1", "r1", ON_DEMO)
    for _ in range(2):
        await store.grant(grant)
    await store.grant(Grant("u1", "r1", SYSTEM))
    assert await store.grants(scope=ON_DEMO) == [grant]
    assert len(await store.grants(user="u1")) == 2
    assert await store.grants(role="r2") == []
    await store.withdraw(grant)
    with pytest.raises(NotFound):
        await store.withdraw(grant)
    assert await store.grants(user="u1") == [Grant("u1", "r1", SYSTEM)]


@pytest.mark.parametrize(
    "grant",
    [
        Grant("no", "r1", ON_DEMO),
        Grant("u1", "no", ON_DEMO),
        Grant("u1", "r1", Scope(ScopeKind.PROJECT, "no")),
        Grant("u1", "r1", Scope(ScopeKind.DOMAIN, "no")),
    ],
)
async def test_nobody_gets_what_is_not_there(store: IdentityStore, grant: Grant) -> None:
    await fill(store)
    with pytest.raises(NotFound):
        await store.grant(grant)


@pytest.mark.parametrize(("kind", "id"), [(Project, "p1"), (User, "u1"), (Role, "r1")])
async def test_what_is_deleted_takes_its_grants_with_it(
    store: IdentityStore, kind: type[Project] | type[User] | type[Role], id: str
) -> None:
    await fill(store)
    await store.grant(Grant("u1", "r1", ON_DEMO))
    if kind is Project:
        await store.delete(Project, id)
    elif kind is User:
        await store.delete(User, id)
    else:
        await store.delete(Role, id)
    assert await store.grants() == []


async def test_a_domain_takes_its_projects_users_and_their_grants_with_it(store: IdentityStore) -> None:
    await fill(store)
    await store.add(Project("p9", "x", "d2", parent_id="d2"))
    await store.add(User("u9", "x", "d2"))
    await store.grant(Grant("u1", "r1", Scope(ScopeKind.PROJECT, "p9")))
    await store.grant(Grant("u1", "r1", Scope(ScopeKind.DOMAIN, "d2")))
    await store.grant(Grant("u9", "r1", ON_DEMO))
    await store.delete(Domain, "d2")
    assert await store.grants() == []
    assert await store.find(User) == [ALICE]
    assert await store.find(Project) == [DEMO]


async def test_revocations_are_kept_while_they_matter_and_the_later_counts(store: IdentityStore) -> None:
    early = Revocation("user:u1", NOW, NOW + timedelta(hours=1))
    late = Revocation("user:u1", NOW + timedelta(minutes=1), NOW + timedelta(hours=2))
    for revocation in (late, early, late):
        await store.revoke([revocation])
    assert await store.revocations(NOW) == [late]
    assert await store.revocations(NOW + timedelta(hours=3)) == []


async def test_all_is_there_after_a_restart(kept: Opened) -> None:
    async with kept(IDENTITY) as database:
        await fill(DatabaseIdentityStore(database))
    async with kept(IDENTITY) as database:
        assert await DatabaseIdentityStore(database).get(User, "u1") == ALICE
