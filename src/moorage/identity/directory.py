"""Domains, projects, users, groups, roles and grants made, changed and deleted; what a change invalidates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from msgspec import UNSET, Struct

from moorage.domain.errors import Forbidden, Invalid, NotFound
from moorage.domain.identity import (
    Domain,
    Grant,
    Group,
    Project,
    Role,
    Scope,
    ScopeKind,
    User,
    about_grants,
    about_group,
    about_group_grants,
    about_membership,
    about_owner,
    about_role,
    about_scope,
    about_user,
)
from moorage.identity.requests import (
    ChangedDomain,
    ChangedGroup,
    ChangedProject,
    ChangedRole,
    ChangedUser,
    NewDomain,
    NewGroup,
    NewProject,
    NewRole,
    NewUser,
)
from moorage.identity.scoping import refusal
from moorage.identity.service import IdentityService
from moorage.seams.identity_store import AnyGrant, Thing

FIELDS = {"enabled": "is_enabled"}  # ours for theirs, where they differ


def given(body: Struct, *without: str) -> dict[str, Any]:
    """The fields of a change that were given, under our names; a null text is an empty one where we keep a text."""
    found = {name: getattr(body, name) for name in body.__struct_fields__ if name not in ("options", *without)}
    return {FIELDS.get(name, name): value for name, value in found.items() if value is not UNSET}


@dataclass(frozen=True)
class Directory:
    service: IdentityService

    async def add_domain(self, new: NewDomain) -> Domain:
        return await self._add(Domain(uuid4().hex, new.name, new.description or "", new.enabled))

    async def add_project(self, new: NewProject, domain_id: str) -> Project:
        """`domain_id` is the caller's, for a project that names none. Raises NotFound for an unknown domain."""
        parent = new.parent_id or new.domain_id or domain_id
        domain = await self.service.store.get(Domain, new.domain_id or domain_id)
        if parent != domain.id:
            above = await self.service.store.get(Project, parent)
            if above.domain_id != domain.id:
                raise Invalid(f"Invalid input: project {parent} is in another domain.")
        return await self._add(
            Project(
                id=uuid4().hex,
                name=new.name,
                domain_id=domain.id,
                description=new.description or "",
                is_enabled=new.enabled,
                parent_id=parent,
                tags=tuple(dict.fromkeys(new.tags)),
            )
        )

    async def add_user(self, new: NewUser, domain_id: str) -> User:
        """`domain_id` is the caller's, for a user that names none. Raises NotFound for an unknown domain."""
        domain = await self.service.store.get(Domain, new.domain_id or domain_id)
        return await self._add(
            User(
                id=uuid4().hex,
                name=new.name,
                domain_id=domain.id,
                password_hash=await self.service.passwords.hash(new.password) if new.password is not None else None,
                is_enabled=new.enabled,
                email=new.email,
                description=new.description,
                default_project_id=new.default_project_id,
                project_id=new.project_id,
            )
        )

    async def add_group(self, new: NewGroup, domain_id: str) -> Group:
        """`domain_id` is the caller's, for a group that names none. Raises NotFound for an unknown domain."""
        domain = await self.service.store.get(Domain, new.domain_id or domain_id)
        return await self._add(Group(uuid4().hex, new.name, domain.id, new.description or "", new.project_id))

    async def add_role(self, new: NewRole) -> Role:
        return await self._add(Role(uuid4().hex, new.name, new.description))

    async def change_domain(self, id: str, change: ChangedDomain) -> Domain:
        fields = given(change, "tags")
        fields |= {"description": fields["description"] or ""} if "description" in fields else {}
        return await self._change(Domain, id, lambda domain: replace(domain, **fields), off=change.enabled is False)

    async def change_project(self, id: str, change: ChangedProject) -> Project:
        """Raises Invalid for a move to another domain or parent."""
        fields = given(change, "domain_id", "is_domain", "parent_id", "tags")
        fields |= {"description": fields["description"] or ""} if "description" in fields else {}
        if change.tags is not UNSET:
            fields["tags"] = tuple(dict.fromkeys(change.tags))

        def changed(project: Project) -> Project:
            fixed = ((change.domain_id, project.domain_id), (change.parent_id, project.parent_id))
            if any(asked is not UNSET and asked != has for asked, has in fixed) or change.is_domain is True:
                raise Invalid("Invalid input: a project stays in its domain and below its parent.")
            return replace(project, **fields)

        return await self._change(Project, id, changed, off=change.enabled is False)

    async def change_tags(self, id: str, change: Callable[[Sequence[str]], Sequence[str]]) -> Project:
        """A project with other tags. Raises NotFound, and what `change` raises."""

        def changed(project: Project) -> Project:
            return replace(project, tags=tuple(change(project.tags)))

        return await self._change(Project, id, changed, off=False)

    async def change_user(self, id: str, change: ChangedUser) -> User:
        """A new password or being switched off ends the user's tokens. Raises Invalid for another id or domain."""
        if change.id not in (UNSET, id):
            raise Invalid("Invalid input: a user keeps its id.")
        fields = given(change, "id", "domain_id", "password")
        if change.password is not UNSET:
            hashed = await self.service.passwords.hash(change.password) if change.password is not None else None
            fields["password_hash"] = hashed

        def changed(user: User) -> User:
            if change.domain_id not in (UNSET, user.domain_id):
                raise Invalid("Invalid input: a user stays in its domain.")
            return replace(user, **fields)

        is_ending = change.enabled is False or change.password is not UNSET
        return await self._change(User, id, changed, off=is_ending)

    async def change_group(self, id: str, change: ChangedGroup) -> Group:
        """Raises Invalid for a move to another domain."""
        fields = given(change, "domain_id")
        fields |= {"description": fields["description"] or ""} if "description" in fields else {}

        def changed(group: Group) -> Group:
            if change.domain_id not in (UNSET, group.domain_id):
                raise Invalid("Invalid input: a group stays in its domain.")
            return replace(group, **fields)

        return await self._change(Group, id, changed, off=False)

    async def change_role(self, id: str, change: ChangedRole) -> Role:
        fields = given(change)
        return await self._change(Role, id, lambda role: replace(role, **fields), off=False)

    async def change_own_password(self, id: str, original: str, password: str) -> None:
        """Raises Unauthorized when `original` is not the password."""
        try:
            user = await self.service.store.get(User, id)
        except NotFound:
            raise refusal() from None
        if not await self.service.passwords.matches(original, user.password_hash):
            raise refusal()
        await self.change_user(id, ChangedUser(password=password))

    async def delete(self, kind: type[Thing], id: str) -> None:
        """Delete it; tokens that rest on it count no more. Raises NotFound, Forbidden for a domain in use."""
        if kind is Domain and (await self.service.store.get(Domain, id)).is_enabled:
            raise Forbidden(f"Cannot delete a domain that is enabled, please disable it first: {id}.")
        revoking = self.service.revoking(*_about(kind, id))
        if kind is Domain:  # members of its groups may be another domain's
            groups = await self.service.store.find(Group, {"domain_id": id})
            revoking += self.service.revoking(*(about_group(group.id) for group in groups))
        await self.service.store.delete(kind, id, revoking)
        self.service.revocations.add(revoking)

    async def leave(self, group: str, user: str) -> None:
        """Raises NotFound when the user is not in the group."""
        revoking = self.service.revoking(about_membership(group, user))
        await self.service.store.leave(group, user, revoking)
        self.service.revocations.add(revoking)

    async def withdraw(self, grant: AnyGrant) -> None:
        """Raises NotFound when it was never granted."""
        about = (
            about_grants(grant.user_id, grant.scope)
            if isinstance(grant, Grant)
            else about_group_grants(grant.group_id, grant.scope)
        )
        revoking = self.service.revoking(about)
        await self.service.store.withdraw(grant, revoking)
        self.service.revocations.add(revoking)

    async def _add(self, thing: Thing) -> Thing:
        await self.service.store.add(thing)
        return thing

    async def _change(self, kind: type[Thing], id: str, change: Callable[[Thing], Thing], *, off: bool) -> Thing:
        """Change a thing; `off` ends the tokens that rest on it."""
        revoking = self.service.revoking(*_about(kind, id)) if off else []
        after = await self.service.store.update(kind, id, change, revoking)
        self.service.revocations.add(revoking)
        return after


def _about(kind: type, id: str) -> tuple[str, ...]:
    """What tokens that rest on this are revoked by."""
    if kind is Domain:
        return about_owner(id), about_scope(Scope(ScopeKind.DOMAIN, id))
    if kind is Project:
        return (about_scope(Scope(ScopeKind.PROJECT, id)),)
    if kind is Group:
        return (about_group(id),)
    return (about_user(id) if kind is User else about_role(id),)
