"""What was written, noted by triggers in the database itself, which know nothing of Moorage's code."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

import asyncpg.exceptions
import msgspec
from tests.chaos.evidence import Appended, PortWrite, Removed

from moorage.adapters.database.times import moment
from moorage.domain.events import DeadEvent, OutboxItem
from moorage.domain.ids import ServerId
from moorage.domain.port import Port
from moorage.domain.server import Server

T = TypeVar("T")

DATABASE_AWAY = (
    asyncpg.exceptions.PostgresError,
    asyncpg.exceptions.InterfaceError,
    asyncpg.exceptions.InternalClientError,  # what asyncpg says, now and then, of a server that died under it
)
HOLD = 4711  # the advisory lock without which nobody takes from the outbox

NOTING = f"""
CREATE SCHEMA chaos;
CREATE TABLE chaos.noted (
    n bigserial PRIMARY KEY, tx bigint, what text, id text, before bytea, after bytea
);
CREATE FUNCTION chaos.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos.noted (tx, what, id, before, after) VALUES (
        txid_current(), TG_TABLE_NAME, CASE TG_OP WHEN 'DELETE' THEN OLD.id::text ELSE NEW.id::text END,
        CASE TG_OP WHEN 'INSERT' THEN NULL ELSE OLD.document END,
        CASE TG_OP WHEN 'DELETE' THEN NULL ELSE NEW.document END
    );
    RETURN NULL;
END $$;
CREATE TRIGGER noted AFTER INSERT OR DELETE OR UPDATE OF document ON network.ports
    FOR EACH ROW EXECUTE FUNCTION chaos.note();
CREATE TRIGGER noted AFTER INSERT OR DELETE ON network.outbox FOR EACH ROW EXECUTE FUNCTION chaos.note();
CREATE TRIGGER noted AFTER INSERT OR DELETE OR UPDATE OF document ON compute.servers
    FOR EACH ROW EXECUTE FUNCTION chaos.note();
CREATE FUNCTION chaos.hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared({HOLD});
    RETURN NEW;
END $$;
CREATE TRIGGER held BEFORE UPDATE ON network.outbox
    FOR EACH ROW WHEN (NEW.taken_by IS NOT NULL) EXECUTE FUNCTION chaos.hold();
"""


@dataclass(frozen=True)
class Written:
    """All that was written since the triggers were made."""

    writes: Sequence[PortWrite]
    appended: Sequence[Appended]
    removed: dict[int, Removed]
    deadlines: dict[ServerId, datetime]


@dataclass(frozen=True)
class Audit:
    """Looks into the database of a cloud; each look has a connection of its own, since the database may be killed."""

    url: str

    async def begin(self) -> None:
        async with self._connected() as connection:
            await connection.execute(NOTING)

    async def written(self) -> Written:
        async with self._connected() as connection:
            rows = await connection.fetch("SELECT n, tx, what, id, before, after FROM chaos.noted ORDER BY n")
        writes, appended = list[PortWrite](), list[Appended]()
        removed, deadlines = dict[int, Removed](), dict[ServerId, datetime]()
        for row in rows:
            before, after = row["before"], row["after"]
            if row["what"] == "ports":
                writes.append(PortWrite(row["tx"], _decoded(before, Port), _decoded(after, Port)))
            elif row["what"] == "servers":
                server = _decoded(after, Server)
                if server is not None and server.plug_deadline is not None:
                    deadlines[server.id] = server.plug_deadline
            elif after is None:
                removed[int(row["id"])] = Removed(row["n"], row["tx"])
            else:
                item = replace(msgspec.json.decode(after, type=OutboxItem), id=int(row["id"]))
                appended.append(Appended(row["n"], row["tx"], item))
        return Written(writes, appended, removed, deadlines)

    async def servers(self) -> dict[ServerId, Server]:
        """Deleted ones too."""
        rows = await self._documents("SELECT document FROM compute.servers")
        return {server.id: server for server in (msgspec.json.decode(row, type=Server) for row in rows)}

    async def server(self, server: str) -> Server | None:
        rows = await self._documents("SELECT document FROM compute.servers WHERE id = $1", server)
        return _decoded(rows[0], Server) if rows else None

    async def told(self, server: str) -> dict[str, datetime]:
        """When the timeline first has each fact of a server."""
        facts = "SELECT what, min(wall) AS wall FROM timeline.facts WHERE server = $1 GROUP BY what"
        async with self._connected() as connection:
            return {row["what"]: moment(int(row["wall"])) for row in await connection.fetch(facts, server)}

    async def dead(self) -> list[DeadEvent]:
        rows = await self._documents("SELECT document FROM network.dead_events ORDER BY id")
        return [msgspec.json.decode(row, type=DeadEvent) for row in rows]

    async def things(self) -> dict[str, frozenset[str]]:
        """Rows that stand, by kind."""
        async with self._connected() as connection:
            ports = await connection.fetch("SELECT id, owner, device FROM network.ports")
            allocations = await connection.fetch("SELECT address, port FROM network.allocations")
            outbox = await connection.fetch("SELECT id, port FROM network.outbox")
            servers = await connection.fetch("SELECT id FROM compute.servers WHERE NOT is_deleted")
        return {
            "port": frozenset(f"{row['id']} ({row['owner']} {row['device']})" for row in ports),
            "allocation": frozenset(f"{row['address']} of {row['port']}" for row in allocations),
            "news": frozenset(f"{row['id']} of port {row['port']}" for row in outbox),
            "server": frozenset(str(row["id"]) for row in servers),
        }

    async def heartbeats(self) -> list[float]:
        """How long ago, in seconds, each host's compute and agent were heard."""
        async with self._connected() as connection:
            computes = await connection.fetch(
                "SELECT extract(epoch FROM now()) - heard_at / 1000000.0 AS age FROM compute.hosts"
            )
            agents = await self._documents("SELECT document FROM network.agents")
        heard = [msgspec.json.decode(row)["heard_at"] for row in agents]
        now = datetime.now().astimezone()
        return [float(row["age"]) for row in computes] + [
            (now - datetime.fromisoformat(text)).total_seconds() for text in heard
        ]

    @asynccontextmanager
    async def outbox_held(self) -> AsyncIterator[None]:
        """Nobody takes from the outbox, for the length of the context, or until the database is killed."""
        connection = await self._connect()
        await connection.execute(f"SELECT pg_advisory_lock({HOLD})")
        try:
            yield
        finally:
            connection.terminate()

    async def takers(self) -> list[int]:
        """The database's own processes that serve who is held back from taking."""
        waiting = f"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = {HOLD} AND NOT granted"
        async with self._connected() as connection:
            return [row["pid"] for row in await connection.fetch(waiting)]

    async def _documents(self, query: str, *values: Any) -> list[bytes]:
        async with self._connected() as connection:
            return [row["document"] for row in await connection.fetch(query, *values)]

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        connection = await self._connect()
        try:
            yield connection
        finally:
            await connection.close()

    async def _connect(self) -> Any:
        return await asyncpg.connect(self.url)  # type: ignore[no-untyped-call]


def _decoded(raw: bytes | None, kind: type[T]) -> T | None:
    return None if raw is None else msgspec.json.decode(raw, type=kind)
