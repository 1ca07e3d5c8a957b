"""The messages of OpenFlow 1.3 that we send and read, as bytes."""

import struct
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from moorage.adapters.openflow.actions import pack_instructions
from moorage.adapters.openflow.matches import pack_match
from moorage.seams.flow import Flow, Match

VERSION = 4  # OpenFlow 1.3
HEADER = struct.Struct("!BBHI")  # version, kind, length, xid
_FLOW_MOD = struct.Struct("!QQBBHHHIIIH2x")
_FLOW_STAT = struct.Struct("!H22xQ")  # an entry of an answer as far as its cookie
_FLOW_STATS = 1  # the kind of multipart message
_ADD, _DELETE = 0, 3
_ALL_TABLES = 0xFF
_LONGEST = 0xFFFF  # bytes of a message
_NO_BUFFER = _ANY = 0xFFFFFFFF
_NICIRA, _FORGET_ZONE = 0x00002320, 29  # Open vSwitch's own messages, and one of them
_ALL_BITS = 0xFFFFFFFFFFFFFFFF


class Kind(IntEnum):
    HELLO = 0
    ERROR = 1
    ECHO_REQUEST = 2
    ECHO_REPLY = 3
    EXPERIMENTER = 4
    FLOW_MOD = 14
    MULTIPART_REQUEST = 18
    MULTIPART_REPLY = 19
    BARRIER_REQUEST = 20
    BARRIER_REPLY = 21


class Message(NamedTuple):
    """All but the header, whose xid is known when it is sent."""

    kind: Kind
    body: bytes = b""


def pack(message: Message, xid: int) -> bytes:
    """The message as it is sent."""
    return HEADER.pack(VERSION, message.kind, HEADER.size + len(message.body), xid) + message.body


HELLO = Message(Kind.HELLO, struct.pack("!HHI", 1, 8, 1 << VERSION))  # one element: the bitmap of versions
BARRIER = Message(Kind.BARRIER_REQUEST)


def add_flow(flow: Flow, cookie: int) -> Message:
    """Add a flow, or replace the one of the same table, priority and match. Raises ValueError for nonsense."""
    try:
        body = _flow_mod(_ADD, flow.table, flow.priority, cookie, 0)
        body += pack_match(flow.match) + pack_instructions(flow.actions)
    except struct.error as error:
        raise ValueError(f"a number in a flow is out of range: {error}") from error
    if HEADER.size + len(body) > _LONGEST:
        raise ValueError(f"a flow of {len(body)} bytes")
    return Message(Kind.FLOW_MOD, body)


def delete_flows(cookie: int, mask: int = _ALL_BITS) -> Message:
    """Delete the flows of all tables whose cookie is `cookie` where `mask` has ones."""
    return Message(Kind.FLOW_MOD, _flow_mod(_DELETE, _ALL_TABLES, 0, cookie, mask) + pack_match(Match()))


def with_cookie(added: bytes, cookie: int) -> Message:
    """The message that adds a flow, with another cookie; `added` is the body of one that adds it."""
    return Message(Kind.FLOW_MOD, cookie.to_bytes(8, "big") + added[8:])


def forget_connections(zone: int) -> Message:
    """Forget all connections of a zone (`NXT_CT_FLUSH_ZONE`)."""
    return Message(Kind.EXPERIMENTER, struct.pack("!II6xH", _NICIRA, _FORGET_ZONE, zone))


def flows_wanted() -> Message:
    """Ask for every flow of every table; the answer may come in several parts."""
    body = struct.pack("!HH4x", _FLOW_STATS, 0) + struct.pack("!B3xII4xQQ", _ALL_TABLES, _ANY, _ANY, 0, 0)
    return Message(Kind.MULTIPART_REQUEST, body + pack_match(Match()))


class Part(NamedTuple):
    """One part of the answer to `flows_wanted`."""

    cookies: Sequence[int]  # one for each flow
    is_last: bool


def flows_told(body: bytes) -> Part:
    """Raises ValueError for what is no such part."""
    try:
        kind, flags = struct.unpack_from("!HH", body)
        cookies, at = [], 8
        while at < len(body):
            length, cookie = _FLOW_STAT.unpack_from(body, at)
            if length < _FLOW_STAT.size:
                raise ValueError(f"a flow of {length} bytes")
            cookies.append(cookie)
            at += length
    except struct.error as error:
        raise ValueError(f"a part of flows that is cut short: {error}") from error
    if kind != _FLOW_STATS:
        raise ValueError(f"an answer of kind {kind}, not flows")
    return Part(cookies, is_last=not flags & 1)


def _flow_mod(command: int, table: int, priority: int, cookie: int, mask: int) -> bytes:
    return _FLOW_MOD.pack(cookie, mask, table, command, 0, 0, priority, _NO_BUFFER, _ANY, _ANY, 0)


_ERRORS: Mapping[int, tuple[str, Mapping[int, str]]] = {  # OpenFlow 1.3.5, section 7.4.4
    0: ("HELLO_FAILED", {0: "INCOMPATIBLE", 1: "EPERM"}),
    1: ("BAD_REQUEST", {0: "BAD_VERSION", 1: "BAD_TYPE", 5: "EPERM", 6: "BAD_LEN", 9: "BAD_TABLE_ID"}),
    2: ("BAD_ACTION", {0: "BAD_TYPE", 1: "BAD_LEN", 4: "BAD_OUT_PORT", 5: "BAD_ARGUMENT", 7: "TOO_MANY"}),
    3: ("BAD_INSTRUCTION", {0: "UNKNOWN_INST", 1: "UNSUP_INST", 2: "BAD_TABLE_ID", 7: "BAD_LEN"}),
    4: (
        "BAD_MATCH",
        {0: "BAD_TYPE", 1: "BAD_LEN", 6: "BAD_FIELD", 7: "BAD_VALUE", 8: "BAD_MASK", 9: "BAD_PREREQ", 10: "DUP_FIELD"},
    ),
    5: ("FLOW_MOD_FAILED", {0: "UNKNOWN", 1: "TABLE_FULL", 2: "BAD_TABLE_ID", 3: "OVERLAP", 4: "EPERM"}),
}


def describe_error(body: bytes) -> str:
    """An error's type and code in the words of the specification."""
    kind, code = struct.unpack_from("!HH", body)
    name, codes = _ERRORS.get(kind, (f"error type {kind}", {}))
    return f"{name}: {codes.get(code, f'code {code}')}"
