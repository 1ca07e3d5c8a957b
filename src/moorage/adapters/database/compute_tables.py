"""Compute API's tables: what is searched for in columns, the whole thing as a document."""

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from moorage.adapters.database.schema import NUMBER, Schema


class Tables(DeclarativeBase):
    """The tables of compute API. Times are microseconds since 1970, UTC."""


class ServerRow(Tables):
    __tablename__ = "servers"
    id: Mapped[str] = mapped_column(primary_key=True)
    project: Mapped[str]
    user: Mapped[str]
    host: Mapped[str | None]
    name: Mapped[str]
    vm_state: Mapped[str]
    task_state: Mapped[str | None]
    created: Mapped[int] = mapped_column(BigInteger)
    updated: Mapped[int] = mapped_column(BigInteger)
    is_deleted: Mapped[bool]
    vcpus: Mapped[int]
    memory_mib: Mapped[int]
    disk_gib: Mapped[int]
    document: Mapped[bytes] = mapped_column(LargeBinary)
    __table_args__ = (
        Index("servers_by_project", "is_deleted", "project", "created"),
        Index("servers_by_host", "is_deleted", "host"),
        Index("servers_by_time", "created", "id"),
    )


class ActionRow(Tables):
    __tablename__ = "actions"
    number: Mapped[int] = mapped_column(NUMBER, primary_key=True, autoincrement=True)
    server: Mapped[str] = mapped_column(ForeignKey("servers.id"))
    request_id: Mapped[str]
    document: Mapped[bytes] = mapped_column(LargeBinary)
    __table_args__ = (Index("actions_by_server", "server", "request_id"),)


class HostRow(Tables):
    __tablename__ = "hosts"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(unique=True)
    uuid: Mapped[str] = mapped_column(unique=True)
    heard_at: Mapped[int] = mapped_column(BigInteger)
    started_at: Mapped[int] = mapped_column(BigInteger)
    vcpus: Mapped[int]
    memory_mib: Mapped[int]
    disk_gib: Mapped[int]
    hypervisor_type: Mapped[str]
    is_enabled: Mapped[bool] = mapped_column(default=True)
    disabled_reason: Mapped[str | None]


class FlavorRow(Tables):
    __tablename__ = "flavors"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(unique=True)
    document: Mapped[bytes] = mapped_column(LargeBinary)


class FlavorAccessRow(Tables):
    __tablename__ = "flavor_access"
    flavor: Mapped[str] = mapped_column(ForeignKey("flavors.id", ondelete="CASCADE"), primary_key=True)
    project: Mapped[str] = mapped_column(primary_key=True)


class KeypairRow(Tables):
    __tablename__ = "keypairs"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    user: Mapped[str]
    name: Mapped[str]
    type: Mapped[str]
    public_key: Mapped[str]
    fingerprint: Mapped[str]
    created: Mapped[int] = mapped_column(BigInteger)
    __table_args__ = (UniqueConstraint("user", "name"),)


class QuotaRow(Tables):
    __tablename__ = "quotas"
    project: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


def touched(result: object) -> bool:
    """Whether a statement has changed any row."""
    return isinstance(result, CursorResult) and result.rowcount > 0


COMPUTE = Schema("compute", Tables.metadata, head="0002", first_mark=851028765)
