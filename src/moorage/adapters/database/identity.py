"""Identity's tables."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import JSON, BigInteger, ForeignKey, String, UniqueConstraint, delete, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from moorage.adapters.database.engine import Database
from moorage.adapters.database.schema import Schema
from moorage.adapters.database.times import micros, moment
from moorage.domain.errors import Conflict, NotFound
from moorage.domain.identity import Domain, Grant, Project, Revocation, Role, Scope, ScopeKind, User
from moorage.seams.identity_store import Thing

T = TypeVar("T")


class IdentityTables(DeclarativeBase):
    pass


class DomainRow(IdentityTables):
    __tablename__ = "domains"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    description: Mapped[str]
    is_enabled: Mapped[bool]


class ProjectRow(IdentityTables):
    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("domain_id", "name"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    domain_id: Mapped[str] = mapped_column(ForeignKey("domains.id", ondelete="CASCADE"))
    description: Mapped[str]
    is_enabled: Mapped[bool]
    parent_id: Mapped[str] = mapped_column(String(64))
    tags: Mapped[list[str]] = mapped_column(JSON)


class UserRow(IdentityTables):
    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("domain_id", "name"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    domain_id: Mapped[str] = mapped_column(ForeignKey("domains.id", ondelete="CASCADE"))
    password_hash: Mapped[str | None]
    is_enabled: Mapped[bool]
    email: Mapped[str | None]
    description: Mapped[str | None]
    default_project_id: Mapped[str | None] = mapped_column(String(64))


class RoleRow(IdentityTables):
    __tablename__ = "roles"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    description: Mapped[str | None]


class GrantRow(IdentityTables):
    __tablename__ = "grants"
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    role_id: Mapped[str] = mapped_column(ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    target_id: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)


class RevocationRow(IdentityTables):
    __tablename__ = "revocations"
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    issued_before: Mapped[int] = mapped_column(BigInteger)  # microseconds since 1970
    until: Mapped[int] = mapped_column(BigInteger, index=True)


IDENTITY = Schema("identity", IdentityTables.metadata, head="0001", first_mark=1736811241)

_CHANGING: Mapping[str, bool] = {}
_KEEPING: Mapping[str, bool] = {"read": True, "key_share": True}  # it may change meanwhile, but not go
_Row = type[DomainRow] | type[ProjectRow] | type[UserRow] | type[RoleRow]
_ROWS: Mapping[type, _Row] = {Domain: DomainRow, Project: ProjectRow, User: UserRow, Role: RoleRow}


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

    async def add(self, thing: Domain | Project | User | Role) -> None:
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
            session.execute(delete(GrantRow).where(GrantRow.target_id.in_(gone)))
            _revoke(session, revoking)

        await self._database.run(f"deleting {_word(kind)} {id}", work)

    async def grants(
        self, *, user: str | None = None, scope: Scope | None = None, role: str | None = None
    ) -> Sequence[Grant]:
        query = select(GrantRow).order_by(GrantRow.user_id, GrantRow.kind, GrantRow.target_id, GrantRow.role_id)
        if user is not None:
            query = query.where(GrantRow.user_id == user)
        if scope is not None:
            query = query.where(GrantRow.kind == scope.kind.value, GrantRow.target_id == scope.id)
        if role is not None:
            query = query.where(GrantRow.role_id == role)

        def work(session: Session) -> list[Grant]:
            return [
                Grant(row.user_id, row.role_id, Scope(ScopeKind(row.kind), row.target_id))
                for row in session.scalars(query)
            ]

        return await self._database.run("listing grants", work)

    async def grant(self, grant: Grant) -> None:
        def work(session: Session) -> None:
            if grant.scope.kind is ScopeKind.DOMAIN:  # first, as whoever deletes a domain with its users locks it first
                _get(session, Domain, grant.scope.id, _KEEPING)
            elif grant.scope.kind is ScopeKind.PROJECT:
                _get(session, Project, grant.scope.id, _KEEPING)
            _get(session, User, grant.user_id, _KEEPING)
            _get(session, Role, grant.role_id, _KEEPING)
            session.merge(GrantRow(**_grant_columns(grant)))

        await self._database.run(f"granting role {grant.role_id} to user {grant.user_id}", work)

    async def withdraw(self, grant: Grant, revoking: Sequence[Revocation] = ()) -> None:
        def work(session: Session) -> None:
            row = session.get(GrantRow, tuple(_grant_columns(grant).values()), with_for_update=True)
            if row is None:
                raise NotFound(f"Could not find role assignment with role: {grant.role_id}, user: {grant.user_id}.")
            session.delete(row)
            _revoke(session, revoking)

        await self._database.run(f"withdrawing role {grant.role_id} from user {grant.user_id}", work)

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


def _columns(thing: Domain | Project | User | Role) -> dict[str, Any]:
    values = dict(vars(thing))
    if "tags" in values:
        values["tags"] = list(values["tags"])
    return values


def _grant_columns(grant: Grant) -> dict[str, str]:
    """In the order of the primary key."""
    return {
        "user_id": grant.user_id,
        "role_id": grant.role_id,
        "kind": grant.scope.kind.value,
        "target_id": grant.scope.id,
    }


def _revoke(session: Session, revoking: Sequence[Revocation]) -> None:
    for revocation in revoking:
        row = session.get(RevocationRow, revocation.subject, with_for_update=True)
        before, until = micros(revocation.issued_before), micros(revocation.until)
        if row is None:
            session.add(RevocationRow(subject=revocation.subject, issued_before=before, until=until))
        else:
            row.issued_before, row.until = max(row.issued_before, before), max(row.until, until)
