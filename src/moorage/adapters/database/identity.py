"""Where identity's things are kept."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from moorage.adapters.database.engine import Database
from moorage.adapters.database.identity_tables import (
    DomainRow,
    GrantRow,
    GroupGrantRow,
    GroupRow,
    MemberRow,
    ProjectRow,
    RevocationRow,
    RoleRow,
    UserRow,
)
from moorage.adapters.database.times import micros, moment
from moorage.domain.errors import Conflict, NotFound
from moorage.domain.identity import Domain, Grant, Group, GroupGrant, Project, Revocation, Role, Scope, ScopeKind, User
from moorage.seams.identity_store import AnyGrant, Thing

T = TypeVar("T")


_CHANGING: Mapping[str, bool] = {}
_KEEPING: Mapping[str, bool] = {"read": True, "key_share": True}  # it may change meanwhile, but not go
_Row = type[DomainRow] | type[ProjectRow] | type[UserRow] | type[GroupRow] | type[RoleRow]
_ROWS: Mapping[type, _Row] = {
    Domain: DomainRow,
    Project: ProjectRow,
    User: UserRow,
    Group: GroupRow,
    Role: RoleRow,
}


class DatabaseIdentityStore:
    """Fulfils seams.identity_store.IdentityStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, kind: type[Thing], where: Mapping[str, str | bool | None] | None = None) -> Sequence[Thing]:
        def work(session: Session) -> list[Thing]:
            row = _ROWS[kind]
            query = select(row).order_by(row.name, row.id).filter_by(**dict(where or {}))
            return [_thing(kind, found) for found in session.scalars(query)]

        return await self._database.run(f"listing {_word(kind)}s", work)

    async def get(self, kind: type[Thing], id: str) -> Thing:
        return await self._database.run(f"reading {_word(kind)} {id}", lambda session: _get(session, kind, id))

    async def add(self, thing: Domain | Project | User | Group | Role) -> None:
        def work(session: Session) -> None:
            session.add(_ROWS[type(thing)](**_columns(thing)))
            session.flush()

        await self._changing(f"store {_word(type(thing))}", f"the name {thing.name} is in use", work)

    async def update(
        self, kind: type[Thing], id: str, change: Callable[[Thing], Thing], revoking: Sequence[Revocation] = ()
    ) -> Thing:
        def work(session: Session) -> Thing:
            after = change(_get(session, kind, id, _CHANGING))
            session.merge(_ROWS[kind](**_columns(after)))
            _revoke(session, revoking)
            session.flush()
            return after

        return await self._changing(f"store {_word(kind)} {id}", "the name is in use", work)

    async def delete(self, kind: type[Thing], id: str, revoking: Sequence[Revocation] = ()) -> None:
        def work(session: Session) -> None:
            _get(session, kind, id, _CHANGING)
            gone = [id]
            if _ROWS[kind] is DomainRow:
                gone += session.scalars(select(ProjectRow.id).where(ProjectRow.domain_id == id))
            session.execute(delete(_ROWS[kind]).where(_ROWS[kind].id == id))  # takes rows that refer to it with it
            for row in (GrantRow, GroupGrantRow):
                session.execute(delete(row).where(row.target_id.in_(gone)))
            _revoke(session, revoking)

        await self._database.run(f"deleting {_word(kind)} {id}", work)

    async def grants(
        self, *, user: str | None = None, scope: Scope | None = None, role: str | None = None
    ) -> Sequence[Grant]:
        query = select(GrantRow).order_by(GrantRow.user_id, GrantRow.kind, GrantRow.target_id, GrantRow.role_id)
        if user is not None:
            query = query.where(GrantRow.user_id == user)
        query = _narrowed(query, GrantRow, scope, role)
        return await self._database.run(
            "listing grants", lambda session: [_grant(row) for row in session.scalars(query)]
        )

    async def group_grants(
        self, *, group: str | None = None, scope: Scope | None = None, role: str | None = None
    ) -> Sequence[GroupGrant]:
        row = GroupGrantRow
        query = select(row).order_by(row.group_id, row.kind, row.target_id, row.role_id)
        if group is not None:
            query = query.where(row.group_id == group)
        query = _narrowed(query, row, scope, role)
        return await self._database.run(
            "listing grants of groups", lambda session: [_group_grant(found) for found in session.scalars(query)]
        )

    async def effective(self, user: str, scope: Scope | None = None) -> Sequence[AnyGrant]:
        own = _narrowed(select(GrantRow).where(GrantRow.user_id == user), GrantRow, scope, None)
        theirs = _narrowed(
            select(GroupGrantRow)
            .join(MemberRow, MemberRow.group_id == GroupGrantRow.group_id)
            .where(MemberRow.user_id == user),
            GroupGrantRow,
            scope,
            None,
        )

        def work(session: Session) -> list[AnyGrant]:
            return [
                *(_grant(row) for row in session.scalars(own)),
                *(_group_grant(row) for row in session.scalars(theirs)),
            ]

        return await self._database.run(f"listing what user {user} may", work)

    async def members(self, group: str) -> Sequence[User]:
        def work(session: Session) -> list[User]:
            _get(session, Group, group)
            query = select(UserRow).join(MemberRow).where(MemberRow.group_id == group)
            return [_thing(User, row) for row in session.scalars(query.order_by(UserRow.name, UserRow.id))]

        return await self._database.run(f"listing members of group {group}", work)

    async def groups_of(self, user: str) -> Sequence[Group]:
        def work(session: Session) -> list[Group]:
            _get(session, User, user)
            query = select(GroupRow).join(MemberRow).where(MemberRow.user_id == user)
            return [_thing(Group, row) for row in session.scalars(query.order_by(GroupRow.name, GroupRow.id))]

        return await self._database.run(f"listing groups of user {user}", work)

    async def join(self, group: str, user: str) -> None:
        def work(session: Session) -> None:
            _get(session, User, user, _KEEPING)
            _get(session, Group, group, _KEEPING)
            session.merge(MemberRow(group_id=group, user_id=user))

        await self._database.run(f"adding user {user} to group {group}", work)

    async def leave(self, group: str, user: str, revoking: Sequence[Revocation] = ()) -> None:
        def work(session: Session) -> None:
            row = session.get(MemberRow, (group, user), with_for_update=True)
            if row is None:
                raise NotFound(f"User {user} not found in group {group}.")
            session.delete(row)
            _revoke(session, revoking)

        await self._database.run(f"removing user {user} from group {group}", work)

    async def grant(self, grant: AnyGrant) -> None:
        def work(session: Session) -> None:
            if grant.scope.kind is ScopeKind.DOMAIN:  # first, as whoever deletes a domain with its users locks it first
                _get(session, Domain, grant.scope.id, _KEEPING)
            elif grant.scope.kind is ScopeKind.PROJECT:
                _get(session, Project, grant.scope.id, _KEEPING)
            if isinstance(grant, Grant):
                _get(session, User, grant.user_id, _KEEPING)
            else:
                _get(session, Group, grant.group_id, _KEEPING)
            _get(session, Role, grant.role_id, _KEEPING)
            session.merge(_grant_row(grant)(**_grant_columns(grant)))

        await self._database.run(f"granting {_granted(grant)}", work)

    async def withdraw(self, grant: AnyGrant, revoking: Sequence[Revocation] = ()) -> None:
        def work(session: Session) -> None:
            row = session.get(_grant_row(grant), tuple(_grant_columns(grant).values()), with_for_update=True)
            if row is None:
                raise NotFound(f"Could not find role assignment with {_granted(grant)}.")
            session.delete(row)
            _revoke(session, revoking)

        await self._database.run(f"withdrawing {_granted(grant)}", work)

    async def revoke(self, revoking: Sequence[Revocation]) -> None:
        await self._database.run("revoking tokens", lambda session: _revoke(session, revoking))

    async def revocations(self, now: datetime) -> Sequence[Revocation]:
        def work(session: Session) -> list[Revocation]:
            if session.scalar(select(RevocationRow.subject).where(RevocationRow.until < micros(now)).limit(1)):
                session.execute(delete(RevocationRow).where(RevocationRow.until < micros(now)))
            return [
                Revocation(row.subject, moment(row.issued_before), moment(row.until))
                for row in session.scalars(select(RevocationRow))
            ]

        return await self._database.run("reading revocations", work)

    async def _changing(self, act: str, why_not: str, work: Callable[[Session], T]) -> T:
        """Run `work`; a broken constraint is a Conflict that tells nothing of tables."""
        try:
            return await self._database.run(act, work)
        except Conflict as error:
            raise Conflict(f"Conflict occurred attempting to {act} - {why_not}.") from error


def _word(kind: type) -> str:
    return kind.__name__.lower()


def _get(session: Session, kind: type[Thing], id: str, lock: Mapping[str, bool] | None = None) -> Thing:
    row = session.get(_ROWS[kind], id, with_for_update=None if lock is None else dict(lock))
    if row is None:
        raise NotFound(f"Could not find {_word(kind)}: {id}.")
    return _thing(kind, row)


def _thing(kind: type[Thing], row: Any) -> Thing:
    values = {column.key: getattr(row, column.key) for column in row.__table__.columns}
    if "tags" in values:
        values["tags"] = tuple(values["tags"])
    return kind(**values)


def _columns(thing: Domain | Project | User | Group | Role) -> dict[str, Any]:
    values = dict(vars(thing))
    if "tags" in values:
        values["tags"] = list(values["tags"])
    return values


_Granted = TypeVar("_Granted", GrantRow, GroupGrantRow)


def _narrowed(query: Select[_Granted], row: type[_Granted], scope: Scope | None, role: str | None) -> Select[_Granted]:
    """Of the grants that `query` finds, those there, and of that role."""
    if scope is not None:
        query = query.where(row.kind == scope.kind.value, row.target_id == scope.id)
    return query.where(row.role_id == role) if role is not None else query


def _grant(row: GrantRow) -> Grant:
    return Grant(row.user_id, row.role_id, Scope(ScopeKind(row.kind), row.target_id))


def _group_grant(row: GroupGrantRow) -> GroupGrant:
    return GroupGrant(row.group_id, row.role_id, Scope(ScopeKind(row.kind), row.target_id))


def _grant_row(grant: AnyGrant) -> type[GrantRow] | type[GroupGrantRow]:
    return GrantRow if isinstance(grant, Grant) else GroupGrantRow


def _grant_columns(grant: AnyGrant) -> dict[str, str]:
    """In the order of the primary key."""
    holder = {"user_id": grant.user_id} if isinstance(grant, Grant) else {"group_id": grant.group_id}
    return {**holder, "role_id": grant.role_id, "kind": grant.scope.kind.value, "target_id": grant.scope.id}


def _granted(grant: AnyGrant) -> str:
    holder = f"user: {grant.user_id}" if isinstance(grant, Grant) else f"group: {grant.group_id}"
    return f"role: {grant.role_id}, {holder}"


def _revoke(session: Session, revoking: Sequence[Revocation]) -> None:
    for revocation in revoking:
        row = session.get(RevocationRow, revocation.subject, with_for_update=True)
        before, until = micros(revocation.issued_before), micros(revocation.until)
        if row is None:
            session.add(RevocationRow(subject=revocation.subject, issued_before=before, until=until))
        else:
            row.issued_before, row.until = max(row.issued_before, before), max(row.until, until)
