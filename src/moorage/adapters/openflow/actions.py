"""What actions are on the wire: OpenFlow 1.3.5, sections 7.2.4 and 7.2.5; Nicira's, by ovs-actions(7)."""

import struct
from collections.abc import Sequence

from moorage.adapters.openflow.matches import header_of
from moorage.seams.flow import (
    Action,
    Conjunction,
    GoTo,
    Load,
    Normal,
    Output,
    OutputTo,
    PopVlan,
    PushVlan,
    Resubmit,
    Track,
    VlanFrom,
    VlanInto,
)

_NORMAL = 0xFFFFFFFA
_NO_LIMIT = 0xFFE5  # bytes sent to a controller; means nothing for other ports
_IN_PORT = 0xFFF8  # of Nicira's actions, whose port numbers have 16 bits: the port by which the packet came
_NO_TABLE = 0xFF
_NICIRA = 0x00002320
_VLAN_BITS = 12
_CT_MARK = "ct_mark"
_MOVE, _LOAD, _RESUBMIT, _OUTPUT_REGISTER, _CONJUNCTION, _TRACK = 6, 7, 14, 15, 34, 35  # Nicira's


def pack_instructions(actions: Sequence[Action]) -> bytes:
    """All actions in their order, as instructions. Raises ValueError or struct.error for nonsense."""
    applied = b"".join([_pack(action) for action in actions if not isinstance(action, GoTo)])
    written = struct.pack("!HH4x", 4, 8 + len(applied)) + applied if applied else b""
    for action in actions:
        if isinstance(action, GoTo):
            written += struct.pack("!HHB3x", 1, 8, action.table)
    return written


def _pack(action: Action) -> bytes:
    match action:
        case Output(port):
            return struct.pack("!HHIH6x", 0, 16, port, _NO_LIMIT)
        case Load(register, value, at, bits):
            return _load(register, value, at, bits)
        case Resubmit(table):
            return _nicira(_RESUBMIT, struct.pack("!HB3x", _IN_PORT, table))
        case OutputTo(register):
            bits = 8 * _size(register)
            return _nicira(_OUTPUT_REGISTER, struct.pack("!HIH6x", bits - 1, header_of(register), 0xFFFF))
        case Track():
            return _track(action)
        case Conjunction(number, clause, of):
            if not 1 <= clause <= of <= 64:
                raise ValueError(f"clause {clause} of {of}")
            return _nicira(_CONJUNCTION, struct.pack("!BBI", clause - 1, of, number))
        case VlanInto(register):
            return _nicira(_MOVE, struct.pack("!HHHII", _VLAN_BITS, 0, 0, header_of("vlan"), header_of(register)))
        case VlanFrom(register):
            return _nicira(_MOVE, struct.pack("!HHHII", _VLAN_BITS, 0, 0, header_of(register), header_of("vlan")))
        case PushVlan():
            return struct.pack("!HHH2x", 17, 8, 0x8100)
        case PopVlan():
            return struct.pack("!HH4x", 18, 8)
        case Normal():
            return struct.pack("!HHIH6x", 0, 16, _NORMAL, _NO_LIMIT)
        case GoTo():
            raise AssertionError("it is an instruction")


def _nicira(subtype: int, body: bytes) -> bytes:
    length = 10 + len(body)
    return struct.pack("!HHIH", 0xFFFF, length + -length % 8, _NICIRA, subtype) + body + bytes(-length % 8)


def _load(register: str, value: int, at: int, bits: int | None) -> bytes:
    count = 8 * _size(register) - at if bits is None else bits
    if not (at >= 0 and count > 0 and at + count <= 8 * _size(register)) or value >> count:
        raise ValueError(f"{value} does not fit into {count} bits of {register}, from bit {at}")
    return _nicira(_LOAD, struct.pack("!HIQ", at << 6 | count - 1, header_of(register), value))


def _track(action: Track) -> bytes:
    if isinstance(action.zone, str):
        source, zone = header_of(action.zone), 15  # the low 16 bits of it
    else:
        source, zone = 0, action.zone
    table = _NO_TABLE if action.table is None else action.table
    nested = b"" if action.mark is None else _load(_CT_MARK, action.mark, 0, None)
    if nested and not action.commit:
        raise ValueError("a connection that is not kept cannot be marked")
    body = struct.pack("!HIHB3xH", int(action.commit), source, zone, table, 0) + nested
    return _nicira(_TRACK, body)


def _size(register: str) -> int:
    return header_of(register) & 0xFF
