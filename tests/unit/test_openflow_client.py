"""The OpenFlow client against bridges that a real one seldom is: silent, too old, dying."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from moorage.adapters.openflow.client import OpenFlowClient
from moorage.adapters.openflow.messages import HEADER, HELLO, Kind, Message, delete_flows, pack
from moorage.domain.errors import Unavailable

FLOW = bytes.fromhex("0040 0000 00000001 00000002 0064 0000 0000 0000 00000000")  # as far as its cookie

BAD_PREREQ = bytes.fromhex("00040009")
BATCH: dict[str, list[Message]] = {"a": [delete_flows(1)], "b": [delete_flows(2), delete_flows(2)], "c": []}


class Bridge:
    """Takes everything, refuses flows whose cookie is in `refused`, and ends each batch unless it is `silent`."""

    def __init__(self) -> None:
        self.hello = pack(HELLO, 1)
        self.refused: set[int] = set()
        self.silent = False
        self.parts: list[tuple[int, ...]] = [()]  # cookies of the flows that are told, part by part
        self.echoes: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []

    def hang_up(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        writer.write(self.hello)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                _, kind, length, xid = HEADER.unpack(await reader.readexactly(HEADER.size))
                body = await reader.readexactly(length - HEADER.size)
                if kind == Kind.ECHO_REPLY:
                    self.echoes.append(body)
                elif kind == Kind.FLOW_MOD and int.from_bytes(body[:8], "big") in self.refused:
                    writer.write(pack(Message(Kind.ERROR, BAD_PREREQ + body[:64]), xid))
                elif kind == Kind.MULTIPART_REQUEST and not self.silent:
                    for number, cookies in enumerate(self.parts, start=1):
                        told = b"".join(FLOW + cookie.to_bytes(8, "big") + bytes(32) for cookie in cookies)
                        more = number < len(self.parts)
                        writer.write(
                            pack(Message(Kind.MULTIPART_REPLY, bytes([0, 1, 0, more, 0, 0, 0, 0]) + told), xid)
                        )
                elif kind == Kind.BARRIER_REQUEST and not self.silent:
                    for octet in pack(Message(Kind.BARRIER_REPLY), xid):  # in as many pieces as can be
                        writer.write(bytes([octet]))
                        await writer.drain()
        writer.close()


@asynccontextmanager
async def served(tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[Bridge, OpenFlowClient, list[bool]]]:
    bridge = Bridge()
    turns: list[bool] = []
    listening = await asyncio.start_unix_server(bridge.serve, tmp_path / "br.mgmt")
    client = OpenFlowClient(f"{tmp_path}/br.mgmt", turns.append, **settings)
    running = asyncio.create_task(client.run())
    try:
        yield bridge, client, turns
    finally:
        running.cancel()
        await asyncio.wait([running])
        listening.close()
        bridge.hang_up()
        await listening.wait_closed()


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not is_so():
            await asyncio.sleep(0.002)


async def test_an_error_is_laid_to_the_port_whose_message_it_was(tmp_path: Path) -> None:
    async with served(tmp_path) as (bridge, client, _):
        assert await client.send(BATCH, "sending") == {}
        bridge.refused = {2}
        first, second = await asyncio.gather(client.send(BATCH, "sending"), client.send({"a": []}, "sending"))
        assert first == {"b": "BAD_MATCH: BAD_PREREQ"}
        assert second == {}


async def test_all_flows_are_asked_for_in_one_question_however_many_parts_the_answer_has(tmp_path: Path) -> None:
    async with served(tmp_path) as (bridge, client, _):
        assert await client.cookies() == []
        bridge.parts = [(1, 2), (), (3, 2)]
        assert await client.cookies() == [1, 2, 3, 2]
        bridge.silent = True
        asked = asyncio.create_task(client.cookies())
        await asyncio.sleep(0)
        bridge.hang_up()
        with pytest.raises(Unavailable, match="asking for the bridge's flows"):
            await asked


async def test_echo_is_answered(tmp_path: Path) -> None:
    async with served(tmp_path) as (bridge, client, _):
        await client.connected()
        bridge.writers[0].write(pack(Message(Kind.ECHO_REQUEST, b"still there?"), 5))
        await until(lambda: bridge.echoes == [b"still there?"])


async def test_what_is_not_our_business_is_passed_over(tmp_path: Path) -> None:
    async with served(tmp_path) as (bridge, client, _):
        await client.connected()
        bridge.writers[0].write(HEADER.pack(4, 12, 16, 0) + bytes(8))  # a port's status
        bridge.writers[0].write(pack(Message(Kind.BARRIER_REPLY), 999))
        bridge.writers[0].write(pack(Message(Kind.ERROR, BAD_PREREQ), 999))
        assert await client.send(BATCH, "sending") == {}


async def test_a_bridge_that_does_not_answer_is_unavailable_when_time_is_up(tmp_path: Path) -> None:
    async with served(tmp_path, timeout=0.1) as (bridge, client, turns):
        await client.connected()
        bridge.silent = True
        with pytest.raises(Unavailable, match="sending"):
            await client.send(BATCH, "sending")
        bridge.silent = False
        assert await client.send(BATCH, "sending") == {}
        assert turns == [True]


async def test_batches_fail_at_once_when_the_connection_is_lost_and_it_is_said(tmp_path: Path) -> None:
    async with served(tmp_path) as (bridge, client, turns):
        await client.connected()
        bridge.silent = True
        sent = client.start(BATCH)
        bridge.hang_up()
        async with asyncio.timeout(1):
            with pytest.raises(ConnectionError, match="was lost"):
                await sent
        await until(lambda: turns == [True, False, True])


@pytest.mark.parametrize(
    "hello",
    [HEADER.pack(1, Kind.HELLO, 8, 1), HEADER.pack(4, Kind.HELLO, 3, 1)],
    ids=["OpenFlow 1.0 only", "nonsense"],
)
async def test_a_bridge_that_we_do_not_understand_is_not_connected(tmp_path: Path, hello: bytes) -> None:
    async with served(tmp_path, patience=0.1) as (bridge, client, turns):
        bridge.hello = hello
        with pytest.raises(Unavailable, match="not connected to the bridge"):
            await client.connected()
        assert turns == []
        bridge.hello = pack(HELLO, 1)
        await until(lambda: turns == [True])


async def test_a_bridge_that_is_made_later_is_found(tmp_path: Path) -> None:
    turns: list[bool] = []
    client = OpenFlowClient(f"{tmp_path}/br.mgmt", turns.append, patience=0.7)
    running = asyncio.create_task(client.run())
    with pytest.raises(Unavailable, match="not connected to the bridge"):
        await client.send(BATCH, "sending")
    bridge = Bridge()
    async with await asyncio.start_unix_server(bridge.serve, tmp_path / "br.mgmt"):
        client.connect_soon()
        async with asyncio.timeout(0.3):  # not the half second that it would wait by now
            assert await client.send(BATCH, "sending") == {}
        running.cancel()
        await asyncio.wait([running])
        bridge.hang_up()
