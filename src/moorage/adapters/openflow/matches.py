"""What a Match is on the wire: OXM fields, by a table (OpenFlow 1.3.5, section 7.2.3.7; nicira-ext for later ones)."""

import struct
from dataclasses import dataclass, fields
from ipaddress import IPv4Network

from moorage.seams.switch import Match

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
ICMP, TCP, UDP, SCTP, ICMPV6 = 1, 6, 17, 132, 58
OPENFLOW_BASIC = 0x8000


@dataclass(frozen=True)
class Field:
    """One way a field of Match is written; `of` names what the packet must be (dl_type or nw_proto) for this way."""

    name: str
    number: int
    size: int  # bytes, without mask
    of: frozenset[int] | None = None
    oxm_class: int = OPENFLOW_BASIC


# In the order in which they are written: what a field depends on comes before it.
FIELDS: tuple[Field, ...] = (
    Field("in_port", 0, 4),
    Field("dl_dst", 3, 6),
    Field("dl_src", 4, 6),
    Field("dl_type", 5, 2),
    Field("nw_proto", 10, 1, of=frozenset({IPV4, IPV6})),
    Field("nw_src", 11, 4, of=frozenset({IPV4})),
    Field("nw_dst", 12, 4, of=frozenset({IPV4})),
    Field("tp_src", 13, 2, of=frozenset({TCP})),
    Field("tp_dst", 14, 2, of=frozenset({TCP})),
    Field("tp_src", 15, 2, of=frozenset({UDP})),
    Field("tp_dst", 16, 2, of=frozenset({UDP})),
    Field("tp_src", 17, 2, of=frozenset({SCTP})),
    Field("tp_dst", 18, 2, of=frozenset({SCTP})),
    Field("tp_src", 19, 1, of=frozenset({ICMP})),  # the ICMP type, as in ovs-fields(7)
    Field("tp_dst", 20, 1, of=frozenset({ICMP})),  # the ICMP code
    Field("nw_proto", 21, 2, of=frozenset({ARP})),  # the ARP opcode
    Field("arp_spa", 22, 4, of=frozenset({ARP})),
    Field("arp_sha", 24, 6, of=frozenset({ARP})),
    Field("tp_src", 29, 1, of=frozenset({ICMPV6})),
    Field("tp_dst", 30, 1, of=frozenset({ICMPV6})),
)
_DEPENDS_ON = {"nw_proto": "dl_type", "nw_src": "dl_type", "nw_dst": "dl_type", "arp_spa": "dl_type"} | {
    "arp_sha": "dl_type",
    "tp_src": "nw_proto",
    "tp_dst": "nw_proto",
}
_NAMES = tuple(field.name for field in fields(Match))


def pack_match(match: Match) -> bytes:
    """The `ofp_match`, padded. Raises ValueError for a field without the one that it depends on, or out of range."""
    wanted = {name for name in _NAMES if getattr(match, name) is not None}
    written = b""
    for field in FIELDS:
        if field.name not in wanted:
            continue
        if field.of is not None and getattr(match, _DEPENDS_ON[field.name]) not in field.of:
            continue
        wanted.discard(field.name)
        written += _pack_field(field, getattr(match, field.name))
    if wanted:
        raise ValueError(f"{', '.join(sorted(wanted))}: cannot be matched without a fitting dl_type and nw_proto")
    length = 4 + len(written)  # without the padding
    return struct.pack("!HH", 1, length) + written + bytes(-length % 8)


def _pack_field(field: Field, value: int | str | IPv4Network) -> bytes:
    octets, mask = _octets(value, field.size)
    if mask == bytes(field.size):  # matches everything, and must then be left out
        return b""
    header = struct.pack("!HBB", field.oxm_class, field.number << 1 | bool(mask), len(octets) + len(mask))
    return header + octets + mask


def _octets(value: int | str | IPv4Network, size: int) -> tuple[bytes, bytes]:
    """The value and its mask, which is empty when all of the value counts."""
    if isinstance(value, IPv4Network):
        return value.network_address.packed, b"" if value.prefixlen == 32 else value.netmask.packed
    if isinstance(value, str):
        address, _, mask = value.partition("/")
        return _mac(address), _mac(mask) if mask else b""
    try:
        return value.to_bytes(size, "big"), b""
    except OverflowError as error:
        raise ValueError(f"{value} does not fit into {size} bytes") from error


def _mac(text: str) -> bytes:
    octets = bytes.fromhex(text.replace(":", ""))
    if len(octets) != 6:
        raise ValueError(f"{text} is not a MAC address")
    return octets
