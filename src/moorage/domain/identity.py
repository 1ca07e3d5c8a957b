"""Who there is: domains, projects, users, groups, roles, grants, and which tokens count no more."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

IMPLIED: Mapping[str, tuple[str, ...]] = {  # as Keystone's bootstrap makes them
    "admin": ("manager",),
    "manager": ("member",),
    "member": ("reader",),
}
WHOLE_SYSTEM = "all"  # the one target of ScopeKind.SYSTEM


class ScopeKind(StrEnum):
    PROJECT = "project"
    DOMAIN = "domain"
    SYSTEM = "system"


@dataclass(frozen=True)
class Scope:
    """What a token or a grant is for."""

    kind: ScopeKind
    id: str


@dataclass(frozen=True)
class Domain:
    id: str
    name: str
    description: str = ""
    is_enabled: bool = True


@dataclass(frozen=True)
class Project:
    id: str
    name: str
    domain_id: str
    description: str = ""
    is_enabled: bool = True
    parent_id: str = ""  # a project or, for most, the domain
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class User:
    """`email`, `description` and the two projects' ids are None when they were never given.

    `project_id` means nothing: clients from before domains write it, and read it back.
    """

    id: str
    name: str
    domain_id: str
    password_hash: str | None = field(default=None, repr=False)  # None: nobody can log in
    is_enabled: bool = True
    email: str | None = None
    description: str | None = None
    default_project_id: str | None = None
    project_id: str | None = None


@dataclass(frozen=True)
class Group:
    """Users who have their roles together. `project_id` is as a user's."""

    id: str
    name: str
    domain_id: str
    description: str = ""
    project_id: str | None = None


@dataclass(frozen=True)
class Role:
    id: str
    name: str
    description: str | None = None


@dataclass(frozen=True)
class Grant:
    """A user has a role on a project, on a domain or on the system."""

    user_id: str
    role_id: str
    scope: Scope


@dataclass(frozen=True)
class GroupGrant:
    """All members of a group have a role on a project, on a domain or on the system."""

    group_id: str
    role_id: str
    scope: Scope


@dataclass(frozen=True)
class Revocation:
    """No token about `subject` that was issued at or before `issued_before` counts any more.

    Subjects are made by the functions below. The record may be forgotten after `until`: all those tokens are expired.
    """

    subject: str
    issued_before: datetime
    until: datetime


def about_token(audit_id: str) -> str:
    return f"token:{audit_id}"


def about_user(user_id: str) -> str:
    return f"user:{user_id}"


def about_scope(scope: Scope) -> str:
    return f"{scope.kind}:{scope.id}"


def about_owner(domain_id: str) -> str:
    """Tokens of the users of a domain."""
    return f"users-of:{domain_id}"


def about_grants(user_id: str, scope: Scope) -> str:
    return f"grant:{user_id}:{scope.kind}:{scope.id}"


def about_group(group_id: str) -> str:
    """Tokens that have roles by the group."""
    return f"group:{group_id}"


def about_membership(group_id: str, user_id: str) -> str:
    return f"member:{group_id}:{user_id}"


def about_group_grants(group_id: str, scope: Scope) -> str:
    return f"group-grant:{group_id}:{scope.kind}:{scope.id}"


def about_role(role_id: str) -> str:
    return f"role:{role_id}"


def with_implied(names: frozenset[str]) -> frozenset[str]:
    """The roles and all that they imply."""
    found, fresh = set(names), set(names)
    while fresh:
        fresh = {implied for name in fresh for implied in IMPLIED.get(name, ())} - found
        found |= fresh
    return frozenset(found)
