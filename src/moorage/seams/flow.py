"""What a switch does with packets, as values: which packets (Match), what with them (actions), in Open vSwitch's words.

A packet has registers, which are 0 when it comes in: reg0 … reg15 of 32 bits, xreg0 is reg0 and reg1 together. Once it
went through Track it has a connection: `ct_state` says what of it is known, and `ct_nw_src`, `ct_tp_dst` and so on are
those of the connection's first packet, whichever way this one goes (ovs-fields(7)).
"""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
ICMP, TCP, UDP, SCTP, ICMPV6 = 1, 6, 17, 132, 58

NO_VLAN = 0  # of `vlan`: the packet has no tag


class Masked(NamedTuple):
    """A number of which only the bits in `mask` count."""

    value: int
    mask: int


ANY_VLAN = Masked(0x1000, 0x1000)  # of `vlan`: the packet has a tag, whichever
LATER = Masked(2, 2)  # of `nw_frag`: a fragment that is not its packet's first, and so without ports

NEW, ESTABLISHED, RELATED, REPLY, INVALID, TRACKED = (1 << bit for bit in range(6))  # bits of ct_state


def state(*, has: int = 0, lacks: int = 0) -> Masked:
    """A `ct_state` with these bits, and without those; it is tracked."""
    return Masked(has | TRACKED, has | lacks | TRACKED)


Number = int | Masked
Prefix = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Match:
    """The packets that a flow is for; None matches all. MAC addresses in text, "ADDRESS/MASK" for some bits of one.

    `tp_src` and `tp_dst` are ICMP's type and code where `nw_proto` says so. What a field depends on (an address on
    `dl_type`, a port on `nw_proto`, anything of a connection on a `ct_state` that is not invalid) must be matched too.
    """

    in_port: int | None = None
    dl_src: str | None = None
    dl_dst: str | None = None
    dl_type: int | None = None
    vlan: Number | None = None
    nw_proto: int | None = None
    nw_frag: Number | None = None
    nw_src: Prefix | None = None
    nw_dst: Prefix | None = None
    tp_src: Number | None = None
    tp_dst: Number | None = None
    nd_target: Prefix | None = None
    arp_spa: IPv4Network | None = None
    arp_sha: str | None = None
    reg2: Number | None = None
    reg5: Number | None = None
    reg6: Number | None = None
    reg7: Number | None = None
    xreg0: int | None = None
    conj_id: int | None = None
    ct_state: Masked | None = None
    ct_mark: Number | None = None
    ct_nw_proto: int | None = None
    ct_nw_src: Prefix | None = None
    ct_nw_dst: Prefix | None = None
    ct_tp_src: Number | None = None
    ct_tp_dst: Number | None = None


@dataclass(frozen=True)
class Output:
    """Send out of one port, but not out of that by which it came."""

    port: int


@dataclass(frozen=True)
class OutputTo:
    """Send out of the port whose number is in a register."""

    register: str


@dataclass(frozen=True)
class Normal:
    """Switch as an ordinary learning switch does, within the VLAN."""


@dataclass(frozen=True)
class Load:
    """Set `bits` bits of a register, from bit `at`; all of it unless told otherwise."""

    register: str
    value: int
    at: int = 0
    bits: int | None = None


@dataclass(frozen=True)
class VlanInto:
    """Copy the tag's VLAN into the low 12 bits of a register."""

    register: str


@dataclass(frozen=True)
class VlanFrom:
    """Copy the low 12 bits of a register into the tag's VLAN."""

    register: str


@dataclass(frozen=True)
class PushVlan:
    """Give it a tag."""


@dataclass(frozen=True)
class PopVlan:
    """Take its tag away."""


@dataclass(frozen=True)
class Resubmit:
    """Do what another table says, then go on here."""

    table: int


@dataclass(frozen=True)
class GoTo:
    """Look on in a later table."""

    table: int


@dataclass(frozen=True)
class Track:
    """Find the packet's connection among those of a zone: a number, or what is in a register.

    With `table` the packet goes on there, knowing its connection. `commit` keeps a new connection, with this mark if
    one is given.
    """

    zone: int | str
    table: int | None = None
    commit: bool = False
    mark: int | None = None


@dataclass(frozen=True)
class Conjunction:
    """This flow is clause `clause` (from 1) of `of`: where all match, so does a flow for that `conj_id`. Alone only."""

    id: int
    clause: int
    of: int


Action = (
    Output | OutputTo | Normal | Load | VlanInto | VlanFrom | PushVlan | PopVlan | Resubmit | GoTo | Track | Conjunction
)


@dataclass(frozen=True)
class Flow:
    """One OpenFlow rule; no actions means drop."""

    table: int
    priority: int
    match: Match
    actions: tuple[Action, ...] = ()
