"""What a token is for, and what ends it: pure rules."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from moorage.adapters.files.private_key import make_private_key
from moorage.domain.errors import NotFound, Unauthorized
from moorage.domain.identity import Domain, Project, Role, Scope, ScopeKind, User, with_implied
from moorage.identity.scoping import Target, issued, roles_in
from moorage.identity.tokens import Named, Signer, Token

NOW = datetime(2026, 1, 1, 12, 0, 0, 654321, tzinfo=UTC)
HOUR = timedelta(hours=1)
DEFAULT = Domain("default", "Default")
DEMO = Project("p1", "demo", "default", parent_id="default")
ALICE = User("u1", "alice", "default")
ROLES = [Role(f"r{n}", name) for n, name in enumerate(("admin", "manager", "member", "reader", "service"))]
MEMBER = (Named("r2", "member"),)
ON_DEMO = Target(project=DEMO, domain=DEFAULT)


def token_for(
    target: Target | None,
    roles: tuple[Named, ...] = MEMBER,
    parent: Token | None = None,
    user: User = ALICE,
    domain: Domain = DEFAULT,
) -> Token:
    return issued(
        user=user,
        user_domain=domain,
        methods=["password"] if parent is None else ["token"],
        target=target,
        roles=roles,
        audit_id="a1" if parent is None else "a2",
        now=NOW if parent is None else NOW + timedelta(minutes=10),
        life=HOUR,
        parent=parent,
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"admin"}, {"admin", "manager", "member", "reader"}),
        ({"member"}, {"member", "reader"}),
        ({"service"}, {"service"}),
        (set(), set()),
    ],
)
def test_roles_imply_lesser_ones(given: set[str], expected: set[str]) -> None:
    assert with_implied(frozenset(given)) == expected


def test_only_roles_that_exist_are_implied() -> None:
    assert [role.name for role in roles_in(["r0"], ROLES)] == ["admin", "manager", "member", "reader"]
    assert [role.name for role in roles_in(["r0"], ROLES[:1])] == ["admin"]
    assert roles_in(["unknown"], ROLES) == ()


def test_each_scope_says_what_it_is_for() -> None:
    project, domain, system = token_for(ON_DEMO), token_for(Target(domain=DEFAULT)), token_for(Target())
    assert project.scope == Scope(ScopeKind.PROJECT, "p1")
    assert (project.scope_name, project.scope_domain) == ("demo", Named("default", "Default"))
    assert domain.scope == Scope(ScopeKind.DOMAIN, "default")
    assert (domain.scope_name, domain.scope_domain) == ("Default", None)
    assert system.scope == Scope(ScopeKind.SYSTEM, "all")
    assert token_for(None, ()).scope is None


def test_callers_are_what_their_tokens_say() -> None:
    caller = token_for(ON_DEMO).caller()
    assert (caller.user, caller.project, caller.project_name, caller.is_system) == ("u1", "p1", "demo", False)
    assert caller.roles == {"member"}
    for target in (Target(domain=DEFAULT), Target(), None):
        assert token_for(target).caller().project is None
    assert token_for(Target()).caller().is_system


@pytest.mark.parametrize(
    ("target", "roles", "user", "domain"),
    [
        (ON_DEMO, (), ALICE, DEFAULT),
        (Target(project=replace(DEMO, is_enabled=False), domain=DEFAULT), MEMBER, ALICE, DEFAULT),
        (Target(project=DEMO, domain=replace(DEFAULT, is_enabled=False)), MEMBER, ALICE, DEFAULT),
        (Target(domain=replace(DEFAULT, is_enabled=False)), MEMBER, ALICE, DEFAULT),
        (Target(), (), ALICE, DEFAULT),
        (None, (), replace(ALICE, is_enabled=False), DEFAULT),
        (None, (), ALICE, replace(DEFAULT, is_enabled=False)),
    ],
)
def test_nobody_gets_a_token_for_what_is_off_or_where_they_have_no_role(
    target: Target | None, roles: tuple[Named, ...], user: User, domain: Domain
) -> None:
    with pytest.raises(Unauthorized):
        token_for(target, roles, user=user, domain=domain)


def test_a_token_lives_for_whole_seconds() -> None:
    assert token_for(ON_DEMO).expires_at == datetime(2026, 1, 1, 13, tzinfo=UTC)


def test_a_token_of_a_token_keeps_the_end_and_tells_its_chain() -> None:
    first = token_for(None, ())
    second = token_for(ON_DEMO, parent=first)
    third = token_for(None, (), parent=replace(second, audit_ids=("a9", *second.audit_ids[1:])))
    assert second.expires_at == third.expires_at == first.expires_at
    assert second.methods == third.methods == ("token", "password")
    assert second.audit_ids == third.audit_ids == ("a2", "a1")


def test_a_token_comes_back_as_it_was_signed() -> None:
    signer = Signer(make_private_key())
    first = token_for(None, ())
    for token in (first, token_for(ON_DEMO), token_for(Target()), token_for(ON_DEMO, parent=first)):
        assert signer.read(signer.sign(token)) == token


def test_a_token_of_another_key_is_not_known() -> None:
    text = Signer(make_private_key()).sign(token_for(ON_DEMO))
    with pytest.raises(NotFound):
        Signer(make_private_key()).read(text)


def test_a_token_rests_on_all_that_may_end_it() -> None:
    assert set(token_for(ON_DEMO).subjects()) == {
        "token:a1",
        "user:u1",
        "users-of:default",
        "project:p1",
        "domain:default",
        "grant:u1:project:p1",
        "role:r2",
    }
    assert set(token_for(None, ()).subjects()) == {"token:a1", "user:u1", "users-of:default"}
