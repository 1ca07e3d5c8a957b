"""What a Match is on the wire: OXM and NXM fields, by a table (OpenFlow 1.3.5, section 7.2.3.7; ovs-fields(7))."""

import struct
from dataclasses import dataclass, fields
from ipaddress import IPv4Network, IPv6Network

from moorage.seams.flow import ARP, ICMP, ICMPV6, IPV4, IPV6, SCTP, TCP, UDP, Masked, Match

BASIC, NXM, PACKET_REGISTERS = 0x8000, 0x0001, 0x8001  # classes of fields


@dataclass(frozen=True)
class Field:
    """One way a field of Match is written; `of` names what the packet must be (dl_type or nw_proto) for this way."""

    name: str
    number: int
    size: int  # bytes, without mask
    of: frozenset[int] | None = None
    oxm_class: int = BASIC

    @property
    def header(self) -> int:
        """As in an action that names the field."""
        return self.oxm_class << 16 | self.number << 9 | self.size


# In the order in which they are written: what a field depends on comes before it.
FIELDS: tuple[Field, ...] = (
    Field("in_port", 0, 4),
    Field("dl_dst", 3, 6),
    Field("dl_src", 4, 6),
    Field("dl_type", 5, 2),
    Field("vlan", 6, 2),
    Field("nw_proto", 10, 1, of=frozenset({IPV4, IPV6})),
    Field("nw_frag", 26, 1, of=frozenset({IPV4, IPV6}), oxm_class=NXM),
    Field("nw_src", 11, 4, of=frozenset({IPV4})),
    Field("nw_dst", 12, 4, of=frozenset({IPV4})),
    Field("tp_src", 13, 2, of=frozenset({TCP})),
    Field("tp_dst", 14, 2, of=frozenset({TCP})),
    Field("tp_src", 15, 2, of=frozenset({UDP})),
    Field("tp_dst", 16, 2, of=frozenset({UDP})),
    Field("tp_src", 17, 2, of=frozenset({SCTP})),
    Field("tp_dst", 18, 2, of=frozenset({SCTP})),
    Field("tp_src", 19, 1, of=frozenset({ICMP})),
    Field("tp_dst", 20, 1, of=frozenset({ICMP})),
    Field("nw_proto", 21, 2, of=frozenset({ARP})),  # the ARP opcode
    Field("arp_spa", 22, 4, of=frozenset({ARP})),
    Field("arp_sha", 24, 6, of=frozenset({ARP})),
    Field("nw_src", 26, 16, of=frozenset({IPV6})),
    Field("nw_dst", 27, 16, of=frozenset({IPV6})),
    Field("tp_src", 29, 1, of=frozenset({ICMPV6})),
    Field("tp_dst", 30, 1, of=frozenset({ICMPV6})),
    Field("nd_target", 31, 16, of=frozenset({ICMPV6})),
    Field("reg2", 2, 4, oxm_class=NXM),
    Field("reg5", 5, 4, oxm_class=NXM),
    Field("reg6", 6, 4, oxm_class=NXM),
    Field("reg7", 7, 4, oxm_class=NXM),
    Field("xreg0", 0, 8, oxm_class=PACKET_REGISTERS),
    Field("conj_id", 37, 4, oxm_class=NXM),
    Field("ct_state", 105, 4, oxm_class=NXM),
    Field("ct_mark", 107, 4, oxm_class=NXM),
    Field("ct_nw_proto", 119, 1, of=frozenset({IPV4, IPV6}), oxm_class=NXM),
    Field("ct_nw_src", 120, 4, of=frozenset({IPV4}), oxm_class=NXM),
    Field("ct_nw_dst", 121, 4, of=frozenset({IPV4}), oxm_class=NXM),
    Field("ct_nw_src", 122, 16, of=frozenset({IPV6}), oxm_class=NXM),
    Field("ct_nw_dst", 123, 16, of=frozenset({IPV6}), oxm_class=NXM),
    Field("ct_tp_src", 124, 2, of=frozenset({TCP, UDP, SCTP, ICMP, ICMPV6}), oxm_class=NXM),
    Field("ct_tp_dst", 125, 2, of=frozenset({TCP, UDP, SCTP, ICMP, ICMPV6}), oxm_class=NXM),
)
_BY_NAME: dict[str, tuple[Field, ...]] = {
    name: tuple([field for field in FIELDS if field.name == name]) for name in dict.fromkeys(f.name for f in FIELDS)
}
_ORDER = {field: number for number, field in enumerate(FIELDS)}
_DEPENDS_ON = (
    dict.fromkeys(("nw_proto", "nw_frag", "nw_src", "nw_dst", "arp_spa", "arp_sha"), "dl_type")
    | dict.fromkeys(("ct_nw_proto", "ct_nw_src", "ct_nw_dst"), "dl_type")
    | dict.fromkeys(("tp_src", "tp_dst", "nd_target"), "nw_proto")
    | dict.fromkeys(("ct_tp_src", "ct_tp_dst"), "ct_nw_proto")
)
assert {field.name for field in fields(Match)} == set(_BY_NAME)


def pack_match(match: Match) -> bytes:
    """The `ofp_match`, padded. Raises ValueError for a field without the one that it depends on, or out of range."""
    given = {name: value for name, value in vars(match).items() if value is not None}
    found: list[tuple[int, bytes]] = []
    for name, value in given.items():
        field = _fitting(name, given)
        if field is None:
            raise ValueError(f"{name}: cannot be matched without a fitting {_DEPENDS_ON[name]}")
        found.append((_ORDER[field], _pack_field(field, value)))
    found.sort()
    written = b"".join([octets for _, octets in found])
    length = 4 + len(written)  # without the padding
    return struct.pack("!HH", 1, length) + written + bytes(-length % 8)


def header_of(name: str) -> int:
    """How an action names a field that has one way to be written."""
    [field] = _BY_NAME[name]
    return field.header


def _fitting(name: str, given: dict[str, object]) -> Field | None:
    """The way in which this field is written of such packets."""
    ways = _BY_NAME[name]
    if name not in _DEPENDS_ON:
        return ways[0]
    kind = given.get(_DEPENDS_ON[name])
    return next((field for field in ways if field.of is not None and kind in field.of), None)


def _pack_field(field: Field, value: int | str | IPv4Network | IPv6Network | Masked) -> bytes:
    octets, mask = _octets(value, field)
    if mask and not any(mask):  # matches everything, and must then be left out
        return b""
    header = struct.pack("!HBB", field.oxm_class, field.number << 1 | bool(mask), len(octets) + len(mask))
    return header + octets + mask


def _octets(value: int | str | IPv4Network | IPv6Network | Masked, field: Field) -> tuple[bytes, bytes]:
    """The value and its mask, which is empty when all of the value counts."""
    size = field.size
    if isinstance(value, int):
        return _number(value, size), b""
    if isinstance(value, str):
        address, _, mask = value.partition("/")
        return _mac(address), _mac(mask) if mask else b""
    if isinstance(value, Masked):
        if value.value & ~value.mask:
            raise ValueError(f"{field.name}: {value.value:#x} has bits outside of its mask {value.mask:#x}")
        return _number(value.value, size), _number(value.mask, size)
    if value.max_prefixlen != 8 * size:
        raise ValueError(f"{field.name}: {value} is of another IP version than the packets")
    return value.network_address.packed, b"" if value.prefixlen == value.max_prefixlen else value.netmask.packed


def _number(value: int, size: int) -> bytes:
    try:
        return value.to_bytes(size, "big")
    except OverflowError as error:
        raise ValueError(f"{value} does not fit into {size} bytes") from error


def _mac(text: str) -> bytes:
    octets = bytes.fromhex(text.replace(":", ""))
    if len(octets) != 6:
        raise ValueError(f"{text} is not a MAC address")
    return octets
