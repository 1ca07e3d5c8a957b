"""The OVSDB client against servers that a real one seldom is: old, silent, dying, talking nonsense."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from moorage.adapters.ovsdb.client import NO_TRANSACTION, OvsdbClient
from moorage.adapters.ovsdb.framing import Framing
from moorage.adapters.ovsdb.values import Kind
from moorage.domain.errors import Conflict, Invalid, Unavailable

COLUMNS = {"Port": {"name": Kind.ONE, "tag": Kind.OPTIONAL}}
ROW = {"Port": {"p": {"initial": {"name": "tap1", "tag": 7}}}}


class Server:
    """Answers with what `answer` says for (method, params): ("result", …), ("error", …), or None: not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[tuple[str, list[Any]]] = []
        self.echoes: list[Any] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.answers: dict[str, Any] = {
            "monitor_cond_since": ("result", [False, "txn-1", ROW]),
            "transact": ("result", [{"count": 1}]),
            "echo": ("result", []),
        }

    def tell(self, message: dict[str, Any]) -> None:
        self.writers[-1].write(json.dumps(message).encode())

    def hang_up(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        framing = Framing()
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                for message in map(json.loads, framing.feed(chunk)):
                    if "method" not in message:
                        self.echoes.append(message)
                        continue
                    self.asked.append((message["method"], message["params"]))
                    kind, content = self.answers.get(message["method"]) or (None, None)
                    if kind is not None:
                        reply = {"id": message["id"], "result": None, "error": None, kind: content}
                        writer.write(json.dumps(reply).encode())
        writer.close()


@asynccontextmanager
async def served(tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[Server, OvsdbClient, list[bool]]]:
    """A server, a client that is about to connect to it, and what the client said of changes."""
    server = Server(tmp_path / "db.sock")
    listening = await asyncio.start_unix_server(server.serve, server.path)
    changes: list[bool] = []
    client = OvsdbClient(f"unix:{server.path}", COLUMNS, changes.append, **settings)
    running = asyncio.create_task(client.run())
    try:
        yield server, client, changes
    finally:
        running.cancel()
        await asyncio.wait([running])
        listening.close()
        server.hang_up()
        await listening.wait_closed()


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not is_so():
            await asyncio.sleep(0.002)


async def test_the_replica_follows_updates(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, client, changes):
        await client.connected()
        assert client.replica.tables["Port"]["p"] == {"name": "tap1", "tag": 7}
        server.tell(
            {"id": None, "method": "update3", "params": ["moorage", "txn-2", {"Port": {"p": {"modify": {"tag": 8}}}}]}
        )
        await until(lambda: client.replica.tables["Port"]["p"]["tag"] == 8)
        assert changes == [True, False]


async def test_echo_is_answered(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, client, _):
        await client.connected()
        server.tell({"id": "echo", "method": "echo", "params": ["still", {"there": "?"}]})
        await until(lambda: server.echoes)
        assert server.echoes == [{"id": "echo", "result": ["still", {"there": "?"}], "error": None}]


async def test_after_a_reconnect_only_what_is_new_is_asked_for(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, client, changes):
        await client.connected()
        server.tell(
            {"method": "update3", "params": ["moorage", "txn-2", {"Port": {"q": {"insert": {"name": "tap2"}}}}]}
        )
        await until(lambda: changes == [True, False])
        server.answers["monitor_cond_since"] = ("result", [True, "txn-3", {"Port": {"p": {"delete": None}}}])
        server.hang_up()
        await until(lambda: changes == [True, False, True])
        assert [params[3] for method, params in server.asked if method == "monitor_cond_since"][1] == "txn-2"
        assert client.replica.tables["Port"] == {"q": {"name": "tap2", "tag": None}}


async def test_what_is_gone_after_a_reconnect_that_remembers_nothing_is_gone(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, client, changes):
        await client.connected()
        server.answers["monitor_cond_since"] = ("result", [False, "txn-9", {}])
        server.hang_up()
        await until(lambda: len(changes) == 2)
        assert client.replica.tables["Port"] == {}


async def test_an_old_server_is_monitored_the_old_way(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, client, _):
        server.answers["monitor_cond_since"] = ("error", {"error": "unknown method"})
        server.answers["monitor_cond"] = ("result", ROW)
        await client.connected()
        server.tell({"method": "update2", "params": ["moorage", {"Port": {"p": {"delete": None}}}]})
        await until(lambda: client.replica.tables["Port"] == {})


@pytest.mark.parametrize(
    ("nonsense", "known"),
    [
        ({"method": "update3", "params": ["moorage", "txn-2", {"Port": {"nobody": {"delete": None}}}]}, NO_TRANSACTION),
        ({"method": "monitor_canceled", "params": ["moorage"]}, NO_TRANSACTION),
        (["not an object"], "txn-1"),
        ({"id": 1, "method": 5}, "txn-1"),
    ],
    ids=["an unknown row", "monitor cancelled", "no object", "no such message"],
)
async def test_after_nonsense_the_client_begins_again(tmp_path: Path, nonsense: Any, known: str) -> None:
    async with served(tmp_path) as (server, client, changes):
        await client.connected()
        server.tell(nonsense)
        server.tell({})
        await until(lambda: changes == [True, True])
        assert [params[3] for method, params in server.asked if method == "monitor_cond_since"][1] == known
        assert client.replica.tables["Port"]["p"]["tag"] == 7


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        ("constraint violation", Conflict),
        ("referential integrity violation", Conflict),
        ("timed out", Conflict),
        ("resources exhausted", Unavailable),
        ("I/O error", Unavailable),
        ("syntax error", Invalid),
    ],
)
@pytest.mark.parametrize("before", [0, 1], ids=["of the operation", "of the commit"])
async def test_errors_of_a_transaction_become_ours(
    tmp_path: Path, error: str, ours: type[Exception], before: int
) -> None:
    async with served(tmp_path) as (server, client, _):
        server.answers["transact"] = ("result", [{}] * before + [{"error": error, "details": "no luck"}])
        with pytest.raises(ours, match="no luck"):
            await client.transact([{"op": "insert", "table": "Port", "row": {}}], "trying")


async def test_a_refused_method_is_unavailable(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, client, _):
        server.answers["transact"] = ("error", "unknown database")
        with pytest.raises(Unavailable, match="trying: unknown database"):
            await client.transact([], "trying")


async def test_a_server_that_does_not_answer_is_unavailable_when_time_is_up(tmp_path: Path) -> None:
    async with served(tmp_path, timeout=0.1) as (server, client, changes):
        await client.connected()
        server.answers["transact"] = server.answers["echo"] = None
        with pytest.raises(Unavailable, match="trying"):
            await client.transact([], "trying")
        with pytest.raises(Unavailable):
            await client.catch_up()
        server.answers["echo"] = ("result", [])
        await client.catch_up()  # the late replies disturb nobody
        assert changes == [True]


async def test_a_silent_server_is_left_for_a_new_connection(tmp_path: Path) -> None:
    async with served(tmp_path, timeout=0.05, probe_every=0.05) as (server, client, changes):
        await client.connected()
        await until(lambda: [method for method, _ in server.asked].count("echo") >= 2)
        assert changes == [True]
        server.answers["echo"] = None
        await until(lambda: len(changes) >= 2)


async def test_requests_fail_at_once_when_the_connection_is_lost(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, client, _):
        await client.connected()
        server.answers["transact"] = None
        calls: list[Awaitable[object]] = [client.transact([], f"call {number}") for number in range(5)]

        async def kill() -> None:
            await until(lambda: [method for method, _ in server.asked].count("transact") == 5)
            server.hang_up()

        async with asyncio.timeout(1):
            *outcomes, _ = await asyncio.gather(*calls, kill(), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Unavailable] * 5
        assert "call 0: the connection was lost" in str(outcomes[0])


async def test_nobody_there_is_unavailable_and_then_somebody_is(tmp_path: Path) -> None:
    client = OvsdbClient(f"unix:{tmp_path}/db.sock", COLUMNS, lambda _: None, patience=0.05)
    running = asyncio.create_task(client.run())
    with pytest.raises(Unavailable, match="not connected to the switch's database"):
        await client.transact([], "trying")
    server = Server(tmp_path / "db.sock")
    async with await asyncio.start_unix_server(server.serve, server.path):
        await until(lambda: client.is_up)
        assert await client.transact([], "trying") == [{"count": 1}]
        running.cancel()
        await asyncio.wait([running])
        server.hang_up()


async def test_tcp_will_do_as_well(tmp_path: Path) -> None:
    server = Server(tmp_path)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        client = OvsdbClient(f"tcp:127.0.0.1:{port}", COLUMNS, lambda _: None)
        running = asyncio.create_task(client.run())
        assert await client.transact([], "trying") == [{"count": 1}]
        running.cancel()
        await asyncio.wait([running])
        server.hang_up()
