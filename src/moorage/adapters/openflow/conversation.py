"""One connection to a bridge: batches of messages, each ended by a barrier, and whose were refused."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import structlog

from moorage.adapters.openflow.messages import (
    BARRIER,
    HEADER,
    HELLO,
    VERSION,
    Kind,
    Message,
    describe_error,
    flows_told,
    flows_wanted,
    pack,
)

log = structlog.get_logger(__name__)

MOST_BATCHES = 1_000  # under way at once
MOST_UNSENT = 64 * 1024 * 1024  # bytes that the switch has not taken yet


@dataclass
class _Batch:
    """What is under way up to one barrier; `refused` names those that messages were for."""

    done: asyncio.Future[Mapping[str, str]]
    owners: dict[int, str] = field(default_factory=dict)  # by xid
    refused: dict[str, str] = field(default_factory=dict)


@dataclass
class _Question:
    """Which flows are there: the parts of the answer that have come so far."""

    done: asyncio.Future[Sequence[int]]
    cookies: list[int] = field(default_factory=list)


class Conversation(asyncio.Protocol):
    """Batches and questions fail with ConnectionError, all at once, when the connection is lost, which is made once."""

    def __init__(self) -> None:
        self.greeted = asyncio.Event()
        self.ended = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._unread = b""
        self._batches: dict[int, _Batch] = {}  # by the xid of the barrier, in the order in which they were sent
        self._questions: dict[int, _Question] = {}  # by xid
        self._last_xid = 0

    def send(self, messages: Mapping[str, Sequence[Message]]) -> asyncio.Future[Mapping[str, str]]:
        """Send everything now, then a barrier; the future holds who was refused, and why. Raises ConnectionError."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("not connected")
        if len(self._batches) >= MOST_BATCHES or self._transport.get_write_buffer_size() > MOST_UNSENT:
            raise ConnectionError("too much is under way")
        batch = _Batch(asyncio.get_running_loop().create_future())
        written = []
        for owner, of_one in messages.items():
            for message in of_one:
                xid = self._next_xid()
                batch.owners[xid] = owner
                written.append(pack(message, xid))
        barrier = self._next_xid()
        written.append(pack(BARRIER, barrier))
        self._batches[barrier] = batch
        self._transport.write(b"".join(written))
        return batch.done

    def ask_for_flows(self) -> asyncio.Future[Sequence[int]]:
        """The cookies of all flows, one for each. It and the future raise ConnectionError."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("not connected")
        if len(self._questions) >= MOST_BATCHES:
            raise ConnectionError("too much is under way")
        xid = self._next_xid()
        question = self._questions[xid] = _Question(asyncio.get_running_loop().create_future())
        self._transport.write(pack(flows_wanted(), xid))
        return question.done

    def close(self) -> None:
        """End it without waiting for anything."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's do not inherit from it
        self._transport.write(pack(HELLO, self._next_xid()))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        open_ends: list[asyncio.Future[Any]] = [
            *(batch.done for batch in self._batches.values()),
            *(question.done for question in self._questions.values()),
        ]
        self._batches.clear()
        self._questions.clear()
        for done in open_ends:
            if not done.done():
                done.set_exception(ConnectionError(f"the connection was lost{f': {exc}' if exc else ''}"))
                done.exception()  # whether or not anybody waits for it
        self.greeted.set()
        self.ended.set()

    def data_received(self, data: bytes) -> None:
        try:
            self._read(data)
        except ValueError as error:
            log.warning("the bridge sent what we cannot read; connecting again", error=str(error))
            self.close()

    def _read(self, data: bytes) -> None:
        unread = self._unread + data
        at = 0
        while len(unread) - at >= HEADER.size:
            version, kind, length, xid = HEADER.unpack_from(unread, at)
            if length < HEADER.size:
                raise ValueError(f"an OpenFlow message of {length} bytes")
            if len(unread) - at < length:
                break
            self._heard(version, kind, xid, unread[at + HEADER.size : at + length])
            at += length
        self._unread = unread[at:]  # less than one message, so 64 KiB at most

    def _heard(self, version: int, kind: int, xid: int, body: bytes) -> None:
        match kind:
            case Kind.HELLO if version < VERSION:
                raise ValueError(f"the bridge speaks OpenFlow version {version} at best, not {VERSION}")
            case Kind.HELLO:
                self.greeted.set()
            case Kind.ECHO_REQUEST if self._transport is not None:
                self._transport.write(pack(Message(Kind.ECHO_REPLY, body), xid))
            case Kind.MULTIPART_REPLY if xid in self._questions:
                self._answered(xid, body)
            case Kind.ERROR if xid in self._questions:
                question = self._questions.pop(xid)
                if not question.done.done():
                    question.done.set_exception(ConnectionError(f"it does not tell its flows: {describe_error(body)}"))
            case Kind.ERROR:
                self._refused(xid, describe_error(body))
            case Kind.BARRIER_REPLY:
                batch = self._batches.pop(xid, None)
                if batch is not None and not batch.done.done():
                    batch.done.set_result(batch.refused)
            case _:  # packets and ports are not our business
                pass

    def _answered(self, xid: int, body: bytes) -> None:
        question = self._questions[xid]
        part = flows_told(body)
        question.cookies += part.cookies
        if part.is_last:
            del self._questions[xid]
            if not question.done.done():
                question.done.set_result(question.cookies)

    def _refused(self, xid: int, reason: str) -> None:
        for batch in self._batches.values():
            if xid in batch.owners:
                batch.refused.setdefault(batch.owners[xid], reason)
                return

    def _next_xid(self) -> int:
        self._last_xid = self._last_xid % 0xFFFFFFFF + 1
        return self._last_xid
