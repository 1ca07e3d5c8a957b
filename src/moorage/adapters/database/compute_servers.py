"""Servers' and their actions' part of a transaction."""

from collections.abc import Sequence
from typing import Any, cast

import msgspec
from sqlalchemy import Table, and_, bindparam, func, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.sql import Select, insert, update

from moorage.adapters.database.compute_hosts import hosts
from moorage.adapters.database.compute_tables import ActionRow, ServerRow
from moorage.adapters.database.locks import hold
from moorage.adapters.database.times import micros
from moorage.domain.action import InstanceAction
from moorage.domain.errors import Exhausted, NotFound
from moorage.domain.server import Server, VmState
from moorage.seams.server_store import Beginning, Change, Ending, Placing, Quota, ServerQuery, Usage

_encode = msgspec.json.Encoder().encode
_server_of = msgspec.json.Decoder(Server).decode
_action_of = msgspec.json.Decoder(InstanceAction).decode


def add(session: Session, servers: Sequence[Server], actions: Sequence[InstanceAction], quota: Quota) -> None:
    has = Usage()
    if quota != Quota():
        hold(session, f"quota of {servers[0].project}")
        has = usage(session, servers[0].project)
    for word, limit, used, more in (
        ("instances", quota.instances, has.instances, len(servers)),
        ("cores", quota.vcpus, has.vcpus, sum(server.flavor.vcpus for server in servers)),
        ("ram", quota.memory_mib, has.memory_mib, sum(server.flavor.ram for server in servers)),
    ):
        if 0 <= limit < used + more:
            raise Exhausted(f"Quota exceeded for {word}: Requested {more}, but already used {used} of {limit} {word}")
    session.execute(_INSERT_SERVER, [{"id": server.id, **_columns(server)} for server in servers])
    _add_actions(session, actions)


def show(
    session: Session, server: str, project: str | None, is_deleted: bool | None, *, is_locked: bool = False
) -> Server:
    row = session.execute(_LOCK_SERVER if is_locked else _SHOW_SERVER, {"key": server}).one_or_none()
    is_seen = (
        row is not None
        and (project is None or row.project == project)
        and (is_deleted is None or row.is_deleted is is_deleted)
    )
    if row is None or not is_seen:
        raise NotFound(f"Instance {server} could not be found.")
    return _server_of(row.document)


def listed(session: Session, query: ServerQuery) -> Sequence[Server]:
    return [_server_of(document) for document in session.scalars(_selected(query))]


def change(
    session: Session, server: str, rule: Change, *, begins: Beginning | None = None, ends: Ending | None = None
) -> Server:
    before = show(session, server, None, False, is_locked=True)
    after = rule(before)
    if after is not before:
        session.execute(_UPDATE_SERVER, {"key": server, **_columns(after)})
    if ends is not None:
        row = session.execute(_SHOW_ACTION, {"server_id": server, "request": before.request_id}).one_or_none()
        if row is not None:
            document = _encode(ends(_action_of(row.document)))
            session.execute(_UPDATE_ACTION, {"key": row.number, "new_document": document})
    action = begins(before, after) if begins is not None else None
    if action is not None:
        _add_actions(session, [action])
    return after


def place(session: Session, server: str, rule: Placing, ends: Ending | None) -> Server:
    def placed(before: Server) -> Server:
        hold(session, "placing")  # hosts' claims are sums over servers
        return rule(before, [host.state for host in hosts(session)])

    return change(session, server, placed, ends=ends)


def actions(session: Session, server: str) -> Sequence[InstanceAction]:
    query = select(ActionRow.document).where(ActionRow.server == server).order_by(ActionRow.number.desc())
    return [_action_of(document) for document in session.scalars(query)]


def usage(session: Session, project: str) -> Usage:
    row = session.execute(_USAGE, {"project_id": project}).one()
    return Usage(instances=row[0], vcpus=row[1], memory_mib=row[2])


def _selected(query: ServerQuery) -> Select[bytes]:
    statement = select(ServerRow.document).order_by(ServerRow.created.desc(), ServerRow.id.desc())
    if query.project is not None:
        statement = statement.where(ServerRow.project == query.project)
    if query.host is not None:
        statement = statement.where(ServerRow.host == query.host)
    if query.is_deleted is not None:
        statement = statement.where(ServerRow.is_deleted == query.is_deleted)
    if query.is_unfinished:
        statement = statement.where(
            or_(ServerRow.vm_state == VmState.BUILDING.value, ServerRow.task_state.is_not(None))
        )
    if query.changed_since is not None:
        statement = statement.where(ServerRow.updated >= micros(query.changed_since))
    if query.created_before is not None:
        created, last = micros(query.created_before[0]), query.created_before[1]
        statement = statement.where(
            or_(ServerRow.created < created, and_(ServerRow.created == created, ServerRow.id < last))
        )
    return statement if query.limit is None else statement.limit(query.limit)


def _columns(server: Server) -> dict[str, Any]:
    return {
        "project": server.project,
        "user": server.user,
        "host": server.host,
        "name": server.name,
        "vm_state": server.life.vm.value,
        "task_state": server.life.task.value if server.life.task is not None else None,
        "created": micros(server.created),
        "updated": micros(server.updated),
        "is_deleted": server.life.vm is VmState.DELETED,
        "vcpus": server.flavor.vcpus,
        "memory_mib": server.flavor.ram,
        "disk_gib": server.flavor.disk + server.flavor.ephemeral,
        "document": _encode(server),
    }


def _add_actions(session: Session, actions: Sequence[InstanceAction]) -> None:
    if not actions:
        return
    session.execute(
        _INSERT_ACTION,
        [{"server": action.server, "request_id": action.request_id, "document": _encode(action)} for action in actions],
    )


_SERVERS, _ACTIONS = cast(Table, ServerRow.__table__), cast(Table, ActionRow.__table__)

# What each boot runs is built once: SQLAlchemy takes longer to build a statement than SQLite to run it.
_COLUMNS = tuple(column.name for column in _SERVERS.columns if column.name != "id")
_INSERT_SERVER = insert(_SERVERS)
_INSERT_ACTION = insert(_ACTIONS)
_SHOW_SERVER = select(_SERVERS.c.document, _SERVERS.c.project, _SERVERS.c.is_deleted).where(
    _SERVERS.c.id == bindparam("key")
)
_LOCK_SERVER = _SHOW_SERVER.with_for_update()
_UPDATE_SERVER = (
    update(_SERVERS).where(_SERVERS.c.id == bindparam("key")).values({name: bindparam(name) for name in _COLUMNS})
)
_SHOW_ACTION = (
    select(_ACTIONS.c.number, _ACTIONS.c.document)
    .where(_ACTIONS.c.server == bindparam("server_id"), _ACTIONS.c.request_id == bindparam("request"))
    .order_by(_ACTIONS.c.number.desc())
    .limit(1)
)
_UPDATE_ACTION = (
    update(_ACTIONS).where(_ACTIONS.c.number == bindparam("key")).values(document=bindparam("new_document"))
)
_USAGE = select(
    func.count(), func.coalesce(func.sum(_SERVERS.c.vcpus), 0), func.coalesce(func.sum(_SERVERS.c.memory_mib), 0)
).where(_SERVERS.c.is_deleted.is_(False), _SERVERS.c.project == bindparam("project_id"))
