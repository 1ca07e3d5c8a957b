"""Compute API's store in a database: a row holds what is searched for, and the whole thing as a document."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import (
    Table,
    and_,
    bindparam,
    func,
    or_,
    select,
)
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.sql import Select, delete, insert, update

from moorage.adapters.database.compute_tables import (
    ActionRow,
    FlavorAccessRow,
    FlavorRow,
    HostRow,
    KeypairRow,
    ServerRow,
)
from moorage.adapters.database.engine import Database
from moorage.adapters.database.locks import hold
from moorage.domain.action import InstanceAction
from moorage.domain.errors import Conflict, Exhausted, NotFound
from moorage.domain.ids import FlavorId, HostName, ProjectId, ServerId, UserId
from moorage.domain.scheduling import HostState
from moorage.domain.server import Flavor, Server, VmState
from moorage.seams.server_store import (
    Beginning,
    Change,
    ComputeHost,
    Ending,
    Heartbeat,
    Keypair,
    Placing,
    Quota,
    ServerQuery,
    Usage,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode
_server_of = msgspec.json.Decoder(Server).decode
_action_of = msgspec.json.Decoder(InstanceAction).decode
_flavor_of = msgspec.json.Decoder(Flavor).decode


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _time(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _table(rows: type[DeclarativeBase]) -> Table:
    table = rows.__table__
    assert isinstance(table, Table)
    return table


_SERVERS, _ACTIONS, _HOSTS = _table(ServerRow), _table(ActionRow), _table(HostRow)

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
_CLAIMS = (
    select(
        _SERVERS.c.host,
        func.count(),
        func.sum(_SERVERS.c.vcpus),
        func.sum(_SERVERS.c.memory_mib),
        func.sum(_SERVERS.c.disk_gib),
    )
    .where(_SERVERS.c.is_deleted.is_(False), _SERVERS.c.host.is_not(None))
    .group_by(_SERVERS.c.host)
)
_ALL_HOSTS = select(_HOSTS).order_by(_HOSTS.c.number)
_SHOW_FLAVOR = select(FlavorRow.__table__.c.document).where(FlavorRow.__table__.c.id == bindparam("key"))
_LOCK_FLAVOR = _SHOW_FLAVOR.with_for_update()


class ComputeDatabase:
    """The store of compute API (seams/server_store) in a SQL database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ---- servers

    async def add(self, servers: Sequence[Server], actions: Sequence[InstanceAction], quota: Quota) -> None:
        def work(session: Session) -> None:
            usage = Usage()
            if quota != Quota():
                hold(session, f"quota of {servers[0].project}")
                usage = _usage(session, servers[0].project)
            for word, limit, used, more in (
                ("instances", quota.instances, usage.instances, len(servers)),
                ("cores", quota.vcpus, usage.vcpus, sum(server.flavor.vcpus for server in servers)),
                ("ram", quota.memory_mib, usage.memory_mib, sum(server.flavor.ram for server in servers)),
            ):
                if 0 <= limit < used + more:
                    raise Exhausted(
                        f"Quota exceeded for {word}: Requested {more}, but already used {used} of {limit} {word}"
                    )
            session.execute(_INSERT_SERVER, [{"id": server.id, **_columns(server)} for server in servers])
            _add_actions(session, actions)

        await self._database.run("adding servers", work)

    async def show(self, server: ServerId, *, project: ProjectId | None, is_deleted: bool | None = False) -> Server:
        return await self._database.run(
            f"reading server {server}", lambda session: _show(session, server, project, is_deleted)
        )

    async def list(self, query: ServerQuery) -> Sequence[Server]:
        def work(session: Session) -> Sequence[Server]:
            return [_server_of(document) for document in session.scalars(_selected(query))]

        return await self._database.run("listing servers", work)

    async def update(
        self,
        server: ServerId,
        change: Change,
        *,
        begins: Beginning | None = None,
        ends: Ending | None = None,
    ) -> Server:
        def work(session: Session) -> Server:
            return _changed(session, server, change, begins, ends)

        return await self._database.run(f"updating server {server}", work)

    async def place(self, server: ServerId, rule: Placing, *, ends: Ending | None = None) -> Server:
        def work(session: Session) -> Server:
            def placed(before: Server) -> Server:
                hold(session, "placing")  # hosts' claims are sums over servers
                return rule(before, [host.state for host in _hosts(session)])

            return _changed(session, server, placed, None, ends)

        return await self._database.run(f"placing server {server}", work)

    async def actions(self, server: ServerId) -> Sequence[InstanceAction]:
        statement = select(ActionRow.document).where(ActionRow.server == server).order_by(ActionRow.number.desc())
        return await self._database.run(
            f"reading the actions of server {server}",
            lambda session: [_action_of(document) for document in session.scalars(statement)],
        )

    async def usage(self, project: ProjectId) -> Usage:
        return await self._database.run(f"reading the usage of project {project}", lambda s: _usage(s, project))

    # ---- hosts

    async def heard(self, heartbeat: Heartbeat, *, uuid: str, now: datetime) -> None:
        def work(session: Session) -> None:
            said = {
                "heard_at": _micros(now),
                "started_at": _micros(heartbeat.started_at),
                "vcpus": heartbeat.vcpus,
                "memory_mib": heartbeat.memory_mib,
                "disk_gib": heartbeat.disk_gib,
                "hypervisor_type": heartbeat.hypervisor_type,
            }
            known = session.execute(update(HostRow).where(HostRow.name == heartbeat.host).values(said))
            if not _touched(known):
                session.execute(insert(HostRow).values(name=heartbeat.host, uuid=uuid, **said))

        await self._database.run(f"noting host {heartbeat.host}", work)

    async def hosts(self) -> Sequence[ComputeHost]:
        return await self._database.run("listing hosts", _hosts)

    async def set_enabled(self, uuid: str, *, is_enabled: bool, reason: str | None) -> None:
        statement = update(HostRow).where(HostRow.uuid == uuid).values(is_enabled=is_enabled, disabled_reason=reason)

        def work(session: Session) -> None:
            if not _touched(session.execute(statement)):
                raise NotFound(f"Service {uuid} could not be found.")

        await self._database.run(f"switching host {uuid}", work)

    # ---- flavors

    async def flavors(self) -> Sequence[Flavor]:
        statement = select(FlavorRow.document).order_by(FlavorRow.number)
        return await self._database.run(
            "listing flavors", lambda session: [_flavor_of(document) for document in session.scalars(statement)]
        )

    async def flavor(self, flavor: FlavorId) -> Flavor:
        return await self._database.run(f"reading flavor {flavor}", lambda session: _flavor(session, flavor))

    async def add_flavor(self, flavor: Flavor) -> None:
        def work(session: Session) -> None:
            if session.scalar(select(FlavorRow.id).where(FlavorRow.id == flavor.id)) is not None:
                raise Conflict(f"Flavor with ID {flavor.id} already exists.")
            if session.scalar(select(FlavorRow.id).where(FlavorRow.name == flavor.name)) is not None:
                raise Conflict(f"Flavor with name {flavor.name} already exists.")
            session.execute(insert(FlavorRow).values(id=flavor.id, name=flavor.name, document=_encode(flavor)))

        await self._database.run(f"adding flavor {flavor.id}", work)

    async def update_flavor(self, flavor: FlavorId, change: Callable[[Flavor], Flavor]) -> Flavor:
        def work(session: Session) -> Flavor:
            after = change(_flavor(session, flavor, _LOCK_FLAVOR))
            session.execute(update(FlavorRow).where(FlavorRow.id == flavor).values(document=_encode(after)))
            return after

        return await self._database.run(f"updating flavor {flavor}", work)

    async def delete_flavor(self, flavor: FlavorId) -> None:
        def work(session: Session) -> None:
            if not _touched(session.execute(delete(FlavorRow).where(FlavorRow.id == flavor))):
                raise NotFound(f"Flavor {flavor} could not be found.")

        await self._database.run(f"deleting flavor {flavor}", work)

    async def flavor_access(self, flavor: FlavorId) -> Sequence[ProjectId]:
        statement = select(FlavorAccessRow.project).where(FlavorAccessRow.flavor == flavor)
        return await self._database.run(
            f"reading who may use flavor {flavor}",
            lambda session: [ProjectId(project) for project in session.scalars(statement)],
        )

    async def grant_flavor(self, flavor: FlavorId, project: ProjectId) -> None:
        def work(session: Session) -> None:
            if session.get(FlavorAccessRow, (flavor, project)) is not None:
                raise Conflict(f"Flavor access already exists for flavor {flavor} and project {project} combination.")
            session.execute(insert(FlavorAccessRow).values(flavor=flavor, project=project))

        await self._database.run(f"granting flavor {flavor}", work)

    async def revoke_flavor(self, flavor: FlavorId, project: ProjectId) -> None:
        statement = delete(FlavorAccessRow).where(FlavorAccessRow.flavor == flavor, FlavorAccessRow.project == project)

        def work(session: Session) -> None:
            if not _touched(session.execute(statement)):
                raise NotFound(f"Flavor access not found for {flavor} / {project} combination.")

        await self._database.run(f"revoking flavor {flavor}", work)

    # ---- keypairs

    async def keypairs(self, user: UserId) -> Sequence[Keypair]:
        statement = select(KeypairRow).where(KeypairRow.user == user).order_by(KeypairRow.name)
        return await self._database.run(
            f"listing keypairs of {user}", lambda session: [_keypair_of(row) for row in session.scalars(statement)]
        )

    async def keypair(self, user: UserId, name: str) -> Keypair:
        def work(session: Session) -> Keypair:
            row = session.scalar(select(KeypairRow).where(KeypairRow.user == user, KeypairRow.name == name))
            if row is None:
                raise NotFound(f"Keypair {name} not found for user {user}")
            return _keypair_of(row)

        return await self._database.run(f"reading keypair {name}", work)

    async def add_keypair(self, keypair: Keypair, *, limit: int) -> Keypair:
        def work(session: Session) -> Keypair:
            hold(session, f"keypairs of {keypair.user}")
            own = list(session.scalars(select(KeypairRow.name).where(KeypairRow.user == keypair.user)))
            if keypair.name in own:
                raise Conflict(f"Key pair '{keypair.name}' already exists.")
            if 0 <= limit <= len(own):
                raise Exhausted("Quota exceeded, too many key pairs.")
            row = KeypairRow(
                user=keypair.user,
                name=keypair.name,
                type=keypair.type,
                public_key=keypair.public_key,
                fingerprint=keypair.fingerprint,
                created=_micros(keypair.created),
            )
            session.add(row)
            session.flush()
            return replace(keypair, id=row.number)

        return await self._database.run(f"adding keypair {keypair.name}", work)

    async def delete_keypair(self, user: UserId, name: str) -> None:
        statement = delete(KeypairRow).where(KeypairRow.user == user, KeypairRow.name == name)

        def work(session: Session) -> None:
            if not _touched(session.execute(statement)):
                raise NotFound(f"Keypair {name} not found for user {user}")

        await self._database.run(f"deleting keypair {name}", work)


def _touched(result: object) -> bool:
    return isinstance(result, CursorResult) and result.rowcount > 0


def _columns(server: Server) -> dict[str, Any]:
    return {
        "project": server.project,
        "user": server.user,
        "host": server.host,
        "name": server.name,
        "vm_state": server.life.vm.value,
        "task_state": server.life.task.value if server.life.task is not None else None,
        "created": _micros(server.created),
        "updated": _micros(server.updated),
        "is_deleted": server.life.vm is VmState.DELETED,
        "vcpus": server.flavor.vcpus,
        "memory_mib": server.flavor.ram,
        "disk_gib": server.flavor.disk + server.flavor.ephemeral,
        "document": _encode(server),
    }


def _show(
    session: Session, server: str, project: str | None, is_deleted: bool | None, query: Select[Any] = _SHOW_SERVER
) -> Server:
    row = session.execute(query, {"key": server}).one_or_none()
    is_seen = (
        row is not None
        and (project is None or row.project == project)
        and (is_deleted is None or row.is_deleted is is_deleted)
    )
    if row is None or not is_seen:
        raise NotFound(f"Instance {server} could not be found.")
    return _server_of(row.document)


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
        statement = statement.where(ServerRow.updated >= _micros(query.changed_since))
    if query.created_before is not None:
        created, last = _micros(query.created_before[0]), query.created_before[1]
        statement = statement.where(
            or_(ServerRow.created < created, and_(ServerRow.created == created, ServerRow.id < last))
        )
    return statement if query.limit is None else statement.limit(query.limit)


def _changed(session: Session, server: str, change: Change, begins: Beginning | None, ends: Ending | None) -> Server:
    before = _show(session, server, None, False, _LOCK_SERVER)
    after = change(before)
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


def _add_actions(session: Session, actions: Sequence[InstanceAction]) -> None:
    if not actions:
        return
    session.execute(
        _INSERT_ACTION,
        [{"server": action.server, "request_id": action.request_id, "document": _encode(action)} for action in actions],
    )


def _usage(session: Session, project: str) -> Usage:
    row = session.execute(_USAGE, {"project_id": project}).one()
    return Usage(instances=row[0], vcpus=row[1], memory_mib=row[2])


def _hosts(session: Session) -> Sequence[ComputeHost]:
    """Every host with what its servers claim, as of this transaction."""
    claims = {row[0]: row[1:] for row in session.execute(_CLAIMS)}
    hosts = []
    for row in session.execute(_ALL_HOSTS):
        servers, vcpus, memory_mib, disk_gib = claims.get(row.name, (0, 0, 0, 0))
        state = HostState(
            name=HostName(row.name),
            heard_at=_time(row.heard_at),
            vcpus=row.vcpus,
            memory_mib=row.memory_mib,
            disk_gib=row.disk_gib,
            used_vcpus=vcpus,
            used_memory_mib=memory_mib,
            used_disk_gib=disk_gib,
            is_enabled=row.is_enabled,
        )
        hosts.append(
            ComputeHost(
                number=row.number,
                uuid=row.uuid,
                state=state,
                hypervisor_type=row.hypervisor_type,
                started_at=_time(row.started_at),
                servers=servers,
                disabled_reason=row.disabled_reason,
            )
        )
    return hosts


def _flavor(session: Session, flavor: str, query: Select[bytes] = _SHOW_FLAVOR) -> Flavor:
    document = session.scalar(query, {"key": flavor})
    if document is None:
        raise NotFound(f"Flavor {flavor} could not be found.", kind="FlavorNotFound")
    return _flavor_of(document)


def _keypair_of(row: KeypairRow) -> Keypair:
    return Keypair(
        id=row.number,
        user=UserId(row.user),
        name=row.name,
        type=row.type,
        public_key=row.public_key,
        fingerprint=row.fingerprint,
        created=_time(row.created),
    )
