"""What stands at a port of the bridge, and the flows that are its own (hop wired)."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network

from moorage.agent.pipeline import (
    ADVERTISEMENT,
    CLASSIFY,
    DELIVER,
    DHCP_CLIENT,
    DHCP_SERVER,
    FLAGS,
    FROM,
    IN,
    MLD_REPORTS,
    NEIGHBOUR,
    OUT,
    POLICY,
    SOLICITATION,
    SOURCE,
    TO,
    TRUSTED,
    VLAN,
)
from moorage.domain.ids import NetworkId
from moorage.seams.flow import (
    ARP,
    ICMPV6,
    IPV4,
    IPV6,
    NO_VLAN,
    UDP,
    Action,
    Flow,
    GoTo,
    Load,
    Match,
    Output,
    Prefix,
)

NOWHERE = IPv4Network("0.0.0.0/32")  # the source of who has no address yet
NOWHERE6 = IPv6Network("::/128")


@dataclass(frozen=True)
class Place:
    """A port with all that its flows depend on. `policy` None: its groups are not asked, it has no port security."""

    network: NetworkId
    vlan: int
    ofport: int
    mac: str
    policy: int | None = None
    may_be: tuple[tuple[str, Prefix], ...] = ()  # the MAC addresses and addresses that it may send as
    is_service: bool = False

    @property
    def macs(self) -> frozenset[str]:
        """Those that packets for it may bear, its own among them."""
        return frozenset({self.mac, *(mac for mac, _ in self.may_be)})


def may_be(
    mac: str, addresses: Iterable[str], pairs: Iterable[tuple[str | None, str]]
) -> tuple[tuple[str, Prefix], ...]:
    """What a port may send as: its addresses, its allowed address pairs, and the link-local address of each MAC."""
    found: list[tuple[str, Prefix]] = [(mac, ip_network(address)) for address in addresses]
    found += [(pair_mac or mac, ip_network(address, strict=False)) for pair_mac, address in pairs]
    own = dict.fromkeys([mac, *(of for of, _ in found)])
    return tuple(dict.fromkeys([*found, *((each, link_local(each)) for each in own)]))


def link_local(mac: str) -> IPv6Network:
    """The address that a host makes itself of its MAC (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return IPv6Network(IPv6Address(b"\xfe\x80" + bytes(6) + identifier))


def flows_of(place: Place) -> list[Flow]:
    """The port's own flows: who it is, as what it may send, what is for it."""
    known: tuple[Action, ...] = (Load(FROM, place.ofport), Load(VLAN, place.vlan))
    came = Match(in_port=place.ofport, vlan=NO_VLAN)
    mine = Match(reg6=place.vlan, dl_dst=place.mac)
    if place.policy is None:
        trusted: tuple[Action, ...] = (Load(FLAGS, TRUSTED),) if place.is_service else ()
        return [
            Flow(CLASSIFY, 10, came, (*known, *trusted, GoTo(DELIVER))),
            Flow(DELIVER, 20, mine, (Output(place.ofport),)),
        ]
    return [
        Flow(CLASSIFY, 10, came, (*known, Load(POLICY, place.policy), GoTo(SOURCE))),
        Flow(DELIVER, 20, mine, (*to(place), GoTo(IN))),
        *_sending(place),
    ]


def to(place: Place) -> tuple[Action, ...]:
    """What IN must know."""
    assert place.policy is not None
    return Load(TO, place.ofport), Load(POLICY, place.policy)


def _sending(place: Place) -> Iterable[Flow]:
    """Everything that a port may send leaves SOURCE by one of these; the rest is dropped there."""
    port = place.ofport
    yield from (flow for mac in sorted(place.macs) for flow in _without_address(port, mac))
    for mac, address in place.may_be:
        if isinstance(address, IPv4Network):
            arp = Match(in_port=port, dl_src=mac, dl_type=ARP, arp_sha=mac, arp_spa=address)
            yield Flow(SOURCE, 20, arp, (GoTo(DELIVER),))
            yield Flow(SOURCE, 10, Match(in_port=port, dl_src=mac, dl_type=IPV4, nw_src=address), (GoTo(OUT),))
        else:
            yield Flow(SOURCE, 10, Match(in_port=port, dl_src=mac, dl_type=IPV6, nw_src=address), (GoTo(OUT),))
            announced = Match(
                reg5=port, dl_type=IPV6, nw_proto=ICMPV6, tp_src=ADVERTISEMENT, tp_dst=0, nd_target=address
            )
            yield Flow(NEIGHBOUR, 10, announced, (GoTo(DELIVER),))


def _without_address(port: int, mac: str) -> Iterable[Flow]:
    """Asking for an address (RFC 2131), probing one (RFC 5227, RFC 4862), joining the group for that (RFC 3810)."""
    asking = Match(
        in_port=port,
        dl_src=mac,
        dl_type=IPV4,
        nw_proto=UDP,
        nw_src=NOWHERE,
        tp_src=DHCP_CLIENT,
        tp_dst=DHCP_SERVER,
    )
    yield Flow(SOURCE, 15, asking, (GoTo(DELIVER),))
    probe = Match(in_port=port, dl_src=mac, dl_type=ARP, arp_sha=mac, arp_spa=NOWHERE)
    yield Flow(SOURCE, 20, probe, (GoTo(DELIVER),))
    for kind in (SOLICITATION, MLD_REPORTS[-1]):
        nobody = Match(in_port=port, dl_src=mac, dl_type=IPV6, nw_proto=ICMPV6, nw_src=NOWHERE6, tp_src=kind)
        yield Flow(SOURCE, 15, nobody, (GoTo(DELIVER),))
