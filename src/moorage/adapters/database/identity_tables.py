"""Identity's tables."""

from sqlalchemy import JSON, BigInteger, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from moorage.adapters.database.schema import Schema


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
    project_id: Mapped[str | None] = mapped_column(String(64))


class GroupRow(IdentityTables):
    __tablename__ = "groups"
    __table_args__ = (UniqueConstraint("domain_id", "name"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    domain_id: Mapped[str] = mapped_column(ForeignKey("domains.id", ondelete="CASCADE"))
    description: Mapped[str]
    project_id: Mapped[str | None] = mapped_column(String(64))


class MemberRow(IdentityTables):
    __tablename__ = "members"
    group_id: Mapped[str] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True)


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


class GroupGrantRow(IdentityTables):
    __tablename__ = "group_grants"
    group_id: Mapped[str] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True)
    role_id: Mapped[str] = mapped_column(ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    target_id: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)


class RevocationRow(IdentityTables):
    __tablename__ = "revocations"
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    issued_before: Mapped[int] = mapped_column(BigInteger)  # microseconds since 1970
    until: Mapped[int] = mapped_column(BigInteger, index=True)


IDENTITY = Schema("identity", IdentityTables.metadata, head="0002", first_mark=1736811241)
