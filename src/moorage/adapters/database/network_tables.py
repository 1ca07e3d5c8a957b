"""The network's tables: each row a frozen dataclass as JSON, beside the columns that are looked up or unique."""

from typing import Any, TypeVar

import msgspec
from sqlalchemy import BigInteger, ForeignKey, Integer, LargeBinary, UniqueConstraint, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from moorage.adapters.database.schema import NUMBER, Schema

T = TypeVar("T")


class Tables(DeclarativeBase):
    """The network's own database."""


class NetworkRow(Tables):
    __tablename__ = "networks"
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    project: Mapped[str] = mapped_column(index=True)
    is_shared: Mapped[bool]
    document: Mapped[bytes] = mapped_column(LargeBinary)


class SubnetRow(Tables):
    __tablename__ = "subnets"
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    project: Mapped[str] = mapped_column(index=True)
    network: Mapped[str] = mapped_column(ForeignKey("networks.id"), index=True)
    document: Mapped[bytes] = mapped_column(LargeBinary)


class PortRow(Tables):
    __tablename__ = "ports"
    __table_args__ = (UniqueConstraint("network", "mac"),)
    number: Mapped[int] = mapped_column(NUMBER, primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    project: Mapped[str] = mapped_column(index=True)
    network: Mapped[str] = mapped_column(ForeignKey("networks.id"))
    device: Mapped[str] = mapped_column(index=True)
    owner: Mapped[str]
    host: Mapped[str | None] = mapped_column(index=True)
    status: Mapped[str]
    mac: Mapped[str]
    mark_epoch: Mapped[int | None] = mapped_column(BigInteger)  # the last report's, which a full look moves for all
    mark_sequence: Mapped[int | None] = mapped_column(BigInteger)
    document: Mapped[bytes] = mapped_column(LargeBinary)


class AllocationRow(Tables):
    """An address that is taken; unique in its subnet."""

    __tablename__ = "allocations"
    subnet: Mapped[str] = mapped_column(ForeignKey("subnets.id"), primary_key=True)
    address: Mapped[int] = mapped_column(BigInteger, primary_key=True)  # IPv4, as a number
    port: Mapped[str] = mapped_column(ForeignKey("ports.id"), index=True)


class MembershipRow(Tables):
    """A port in a security group."""

    __tablename__ = "memberships"
    port: Mapped[str] = mapped_column(ForeignKey("ports.id"), primary_key=True)
    group: Mapped[str] = mapped_column("group_id", ForeignKey("security_groups.id"), primary_key=True, index=True)


class GroupRow(Tables):
    """`default_of` is the project whose `default` this is: a project has one."""

    __tablename__ = "security_groups"
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    project: Mapped[str] = mapped_column(index=True)
    default_of: Mapped[str | None] = mapped_column(unique=True)
    document: Mapped[bytes] = mapped_column(LargeBinary)


class RuleRow(Tables):
    __tablename__ = "security_group_rules"
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    group: Mapped[str] = mapped_column("group_id", ForeignKey("security_groups.id"), index=True)
    remote: Mapped[str | None] = mapped_column(ForeignKey("security_groups.id"), index=True)
    document: Mapped[bytes] = mapped_column(LargeBinary)


class AgentRow(Tables):
    __tablename__ = "agents"
    host: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    document: Mapped[bytes] = mapped_column(LargeBinary)


class QuotaRow(Tables):
    """The most that a project may have of one kind; -1 is no limit."""

    __tablename__ = "quotas"
    project: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


class OutboxRow(Tables):
    """News that is not delivered yet. `due` is in µs since 1970, 0 for at once; `taken_by` is a notifier's bell."""

    __tablename__ = "outbox"
    __table_args__ = ({"sqlite_autoincrement": True},)  # an id never comes twice: the notifier knows items by it
    id: Mapped[int] = mapped_column(NUMBER, primary_key=True)
    port: Mapped[str] = mapped_column(index=True)
    is_status: Mapped[bool]
    due: Mapped[int] = mapped_column(BigInteger)
    taken_by: Mapped[int | None] = mapped_column(BigInteger)
    document: Mapped[bytes] = mapped_column(LargeBinary)


class DeadRow(Tables):
    """News that was given up."""

    __tablename__ = "dead_events"
    id: Mapped[int] = mapped_column(NUMBER, primary_key=True)
    document: Mapped[bytes] = mapped_column(LargeBinary)


NETWORK = Schema("network", Tables.metadata, head="0003", first_mark=1420512414)


def encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)


_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


def decoded(raw: bytes, kind: type[T]) -> T:
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    value: T = decoder.decode(raw)
    return value


@event.listens_for(Session, "before_flush")
def _only_the_store_writes_ports(session: Session, _context: object, _instances: object) -> None:
    """The store writes ports by statements of its own, with their news; so whatever a flush would write is not its."""
    for row in (*session.new, *session.dirty, *session.deleted):
        assert not isinstance(row, PortRow), f"port {row.id} was changed outside store.update"
