"""Which address a port gets, for any subnet."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ports import NOW

from moorage.domain.errors import Conflict, Exhausted, Invalid
from moorage.domain.ids import NetworkId, ProjectId, SubnetId
from moorage.domain.ipam import (
    AddressWanted,
    allocate,
    check_no_overlap,
    check_pools,
    check_usable,
    choose,
    default_gateway,
    default_pools,
    keeping,
    parse_cidr,
)
from moorage.domain.network import Pool, Subnet
from moorage.domain.port import FixedIp

NETWORK = NetworkId("n1")


def subnet(cidr: str, name: str = "s1", pools: tuple[Pool, ...] | None = None) -> Subnet:
    network = IPv4Network(cidr)
    gateway = default_gateway(network)
    return Subnet(
        id=SubnetId(name),
        network_id=NETWORK,
        project_id=ProjectId("d" * 32),
        name=name,
        cidr=cidr,
        gateway_ip=str(gateway),
        allocation_pools=default_pools(network, gateway) if pools is None else pools,
        created_at=NOW,
        updated_at=NOW,
    )


cidrs = st.builds(
    lambda number, length: IPv4Network((number, length), strict=False),
    st.integers(0x0A000000, 0x0AFFFFFF),
    st.integers(24, 31),
)


@given(cidrs)
def test_the_pools_are_all_hosts_but_the_gateway(cidr: IPv4Network) -> None:
    gateway = default_gateway(cidr)
    pools = default_pools(cidr, gateway)
    inside = {
        IPv4Address(number)
        for pool in pools
        for number in range(int(IPv4Address(pool.start)), int(IPv4Address(pool.end)) + 1)
    }
    assert inside == set(cidr.hosts()) - {gateway}
    check_pools(cidr, gateway, pools)


@given(cidrs)
def test_a_subnet_gives_out_each_of_its_addresses_once_and_then_is_exhausted(cidr: IPv4Network) -> None:
    one = subnet(str(cidr))
    taken: set[IPv4Address] = set()
    for _ in range(len(set(cidr.hosts())) - 1):
        address = allocate(one, taken)
        assert address not in taken
        assert str(address) != one.gateway_ip
        check_usable(one, address)
        taken.add(address)
    with pytest.raises(Exhausted):
        allocate(one, taken)


@given(st.sets(st.integers(0, 255)))
def test_the_lowest_free_address_is_given(taken: set[int]) -> None:
    used = {IPv4Address(0x0A000000 + last) for last in taken}
    free = [last for last in range(2, 255) if last not in taken]
    if free:
        assert allocate(subnet("10.0.0.0/24"), used) == IPv4Address(0x0A000000 + free[0])


@given(cidrs, cidrs)
def test_overlap_is_what_shares_an_address(one: IPv4Network, other: IPv4Network) -> None:
    shares = one[0] in other or other[0] in one
    if shares:
        with pytest.raises(Invalid, match="overlaps with another subnet"):
            check_no_overlap(one, [subnet(str(other))])
    else:
        check_no_overlap(one, [subnet(str(other))])


def test_a_port_gets_an_address_of_the_first_subnet_that_has_one() -> None:
    tiny, wide = subnet("10.0.0.0/30", "tiny"), subnet("10.1.0.0/24", "wide")
    [first] = choose(None, NETWORK, [tiny, wide], {})
    assert (first.subnet_id, first.ip_address) == ("tiny", "10.0.0.2")
    [second] = choose(None, NETWORK, [tiny, wide], {tiny.id: {IPv4Address("10.0.0.2")}})
    assert (second.subnet_id, second.ip_address) == ("wide", "10.1.0.2")
    assert choose(None, NETWORK, [], {}) == ()
    with pytest.raises(Exhausted):
        choose(None, NETWORK, [tiny], {tiny.id: {IPv4Address("10.0.0.2")}})


def test_addresses_are_chosen_by_subnet_by_address_and_by_both() -> None:
    one, other = subnet("10.0.0.0/24", "one"), subnet("10.1.0.0/24", "other")
    wanted = [
        AddressWanted(subnet=one.id),
        AddressWanted(subnet=one.id),
        AddressWanted(address="10.1.0.200"),
        AddressWanted(subnet=other.id, address="10.1.0.201"),
    ]
    chosen = choose(wanted, NETWORK, [one, other], {})
    assert [(ip.subnet_id, ip.ip_address) for ip in chosen] == [
        ("one", "10.0.0.2"),
        ("one", "10.0.0.3"),
        ("other", "10.1.0.200"),
        ("other", "10.1.0.201"),
    ]


def test_a_port_keeps_the_address_it_has_where_any_of_the_subnet_will_do() -> None:
    one = SubnetId("one")
    own = [FixedIp(one, "10.0.0.9"), FixedIp(one, "10.0.0.8")]
    any_two = [AddressWanted(one), AddressWanted(one), AddressWanted(one)]
    assert keeping(any_two, own) == [*(AddressWanted(one, ip.ip_address) for ip in own), AddressWanted(one)]
    named = [AddressWanted(one), AddressWanted(address="10.0.0.9")]
    assert keeping(named, own) == [AddressWanted(one, "10.0.0.8"), named[1]]
    elsewhere = [AddressWanted(SubnetId("other"))]
    assert keeping(elsewhere, own) == elsewhere


@pytest.mark.parametrize(
    ("wanted", "error", "kind"),
    [
        (AddressWanted(address="10.9.0.1"), Invalid, "InvalidIpForNetwork"),
        (AddressWanted(subnet=SubnetId("s1"), address="10.9.0.1"), Invalid, "InvalidIpForSubnet"),
        (AddressWanted(address="10.0.0.255"), Invalid, "InvalidIpForSubnet"),
        (AddressWanted(address="ten"), Invalid, "InvalidInput"),
        (AddressWanted(subnet=SubnetId("none")), Invalid, "InvalidInput"),
        (AddressWanted(), Invalid, "InvalidInput"),
        (AddressWanted(address="10.0.0.9"), Conflict, "IpAddressAlreadyAllocated"),
    ],
)
def test_an_address_that_cannot_be_had_is_refused_by_name(
    wanted: AddressWanted, error: type[Invalid | Conflict], kind: str
) -> None:
    with pytest.raises(error) as raised:
        choose([wanted], NETWORK, [subnet("10.0.0.0/24")], {SubnetId("s1"): {IPv4Address("10.0.0.9")}})
    assert raised.value.kind == kind


@pytest.mark.parametrize(
    ("pools", "error"),
    [
        ([("10.0.0.9", "10.0.0.5")], Invalid),
        ([("10.0.0.9", "10.0.1.5")], Invalid),
        ([("10.0.0.1", "10.0.0.5")], Conflict),
        ([("10.0.0.2", "10.0.0.5"), ("10.0.0.5", "10.0.0.9")], Conflict),
    ],
)
def test_pools_that_cannot_be_are_refused(pools: list[tuple[str, str]], error: type[Invalid | Conflict]) -> None:
    with pytest.raises(error):
        check_pools(IPv4Network("10.0.0.0/24"), IPv4Address("10.0.0.1"), [Pool(*pool) for pool in pools])


def test_a_cidr_is_normalised_or_refused() -> None:
    assert str(parse_cidr("10.0.0.5/24")) == "10.0.0.0/24"
    for text in ("10.0.0.0/33", "ten", "", "2001:db8::/64"):
        with pytest.raises(Invalid):
            parse_cidr(text)
    with pytest.raises(Invalid):
        default_gateway(IPv4Network("10.0.0.1/32"))
