"""Which address a port gets: ranges, gateways, overlaps. IPv4."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from itertools import pairwise

from moorage.domain.errors import Conflict, Exhausted, Invalid
from moorage.domain.ids import NetworkId, SubnetId
from moorage.domain.network import Pool, Subnet
from moorage.domain.port import FixedIp


@dataclass(frozen=True)
class AddressWanted:
    """One address asked for: any of a subnet, this one, or this one of that subnet."""

    subnet: SubnetId | None = None
    address: str | None = None


def parse_cidr(text: str) -> IPv4Network:
    """The network that `text` names, host bits cleared ("10.0.0.5/24" is 10.0.0.0/24). Raises Invalid."""
    try:
        return IPv4Network(text, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError):
        raise Invalid(f"Invalid input for cidr. Reason: '{text}' is not a valid IPv4 subnet.") from None


def parse_address(text: str) -> IPv4Address:
    """The address that `text` names. Raises Invalid."""
    try:
        return IPv4Address(text)
    except AddressValueError:
        raise Invalid(f"'{text}' is not a valid IPv4 address.", kind="InvalidInput") from None


def default_gateway(network: IPv4Network) -> IPv4Address:
    """The first host address, as Neutron chooses. Raises Invalid for a /32, which has no room for one."""
    if network.prefixlen == 32:
        raise Invalid(f"{network} has no room for a gateway: give gateway_ip null, or a larger cidr.")
    return network[1] if network.prefixlen < 31 else network[0]


def default_pools(network: IPv4Network, gateway: IPv4Address | None) -> tuple[Pool, ...]:
    """All host addresses but the gateway, as one pool or two."""
    first, last = int(network[0]), int(network[-1])
    if network.prefixlen < 31:
        first, last = first + 1, last - 1
    ranges = [(first, last)]
    if gateway is not None and first <= int(gateway) <= last:
        ranges = [(first, int(gateway) - 1), (int(gateway) + 1, last)]
    return tuple(Pool(str(IPv4Address(low)), str(IPv4Address(high))) for low, high in ranges if low <= high)


def check_pools(network: IPv4Network, gateway: IPv4Address | None, pools: Sequence[Pool]) -> None:
    """Raises Invalid for a pool outside the cidr or upside down, Conflict for overlaps and a pool over the gateway."""
    spans = []
    for pool in pools:
        start, end = parse_address(pool.start), parse_address(pool.end)
        if start > end:
            raise Invalid(f"The allocation pool {pool.start}-{pool.end} is not valid.", kind="InvalidAllocationPool")
        if start not in network or end not in network:
            raise Invalid(
                f"The allocation pool {pool.start}-{pool.end} spans beyond the subnet cidr {network}.",
                kind="OutOfBoundsAllocationPool",
            )
        if gateway is not None and start <= gateway <= end:
            raise Conflict(
                f"Gateway ip {gateway} conflicts with allocation pool {pool.start}-{pool.end}.",
                kind="GatewayConflictWithAllocationPools",
            )
        spans.append((start, end))
    spans.sort()
    for (_, end), (start, _) in pairwise(spans):
        if start <= end:
            raise Conflict(f"Allocation pools overlap at {start}.", kind="OverlappingAllocationPools")


def check_no_overlap(network: IPv4Network, others: Iterable[Subnet]) -> None:
    """Raises Invalid when `network` overlaps one of the network's other subnets."""
    for other in others:
        if network.overlaps(IPv4Network(other.cidr)):
            raise Invalid(
                f"Invalid input for operation: Requested subnet with cidr: {network} for network: {other.network_id} "
                f"overlaps with another subnet.",
                kind="InvalidInput",
            )


def allocate(subnet: Subnet, taken: Set[IPv4Address]) -> IPv4Address:
    """The lowest address of the subnet's pools that is not in `taken`.

    `taken` may hold addresses of other subnets. Raises Exhausted when none is left. O(size of the pools) at worst.
    """
    for pool in subnet.allocation_pools:
        for number in range(int(IPv4Address(pool.start)), int(IPv4Address(pool.end)) + 1):
            address = IPv4Address(number)
            if address not in taken:
                return address
    raise Exhausted(
        f"No more IP addresses available on network {subnet.network_id}.", kind="IpAddressGenerationFailure"
    )


def check_usable(subnet: Subnet, address: IPv4Address) -> None:
    """Raises Invalid unless a port of `subnet` may have `address` (the network's and broadcast address may not)."""
    network = IPv4Network(subnet.cidr)
    is_edge = network.prefixlen < 31 and address in (network.network_address, network.broadcast_address)
    if address not in network or is_edge:
        raise Invalid(f"IP address {address} is not a valid IP for the specified subnet.", kind="InvalidIpForSubnet")


def choose(
    wanted: Sequence[AddressWanted] | None,
    network: NetworkId,
    subnets: Sequence[Subnet],
    taken: Mapping[SubnetId, Set[IPv4Address]],
) -> tuple[FixedIp, ...]:
    """The addresses of a port on `network`; None asks for one of any subnet (for none where there is no subnet).

    Raises Invalid for an address that no subnet has, Conflict for one that is taken, Exhausted.
    """
    if wanted is None:
        wanted = [_with_room(subnets, taken)] if subnets else []
    chosen: list[FixedIp] = []
    for one in wanted:
        subnet = _subnet_of(one, network, subnets)
        own = {IPv4Address(ip.ip_address) for ip in chosen if ip.subnet_id == subnet.id}
        used = taken.get(subnet.id, frozenset()) | own
        if one.address is None:
            address = allocate(subnet, used)
        else:
            address = parse_address(one.address)
            check_usable(subnet, address)
            if address in used:
                raise Conflict(
                    f"IP address {address} already allocated in subnet {subnet.id}.", kind="IpAddressAlreadyAllocated"
                )
        chosen.append(FixedIp(subnet_id=subnet.id, ip_address=str(address)))
    return tuple(chosen)


def keeping(wanted: Sequence[AddressWanted], own: Sequence[FixedIp]) -> Sequence[AddressWanted]:
    """`wanted` of a port that has addresses already: where any of a subnet will do, the one it has is kept."""
    named = {one.address for one in wanted}
    spare = [ip for ip in own if ip.ip_address not in named]
    kept = []
    for one in wanted:
        has = next((ip for ip in spare if one.address is None and ip.subnet_id == one.subnet), None)
        if has is not None:
            spare.remove(has)
        kept.append(one if has is None else AddressWanted(has.subnet_id, has.ip_address))
    return kept


def _with_room(subnets: Sequence[Subnet], taken: Mapping[SubnetId, Set[IPv4Address]]) -> AddressWanted:
    full: Exhausted | None = None
    for subnet in subnets:
        try:
            return AddressWanted(subnet.id, str(allocate(subnet, taken.get(subnet.id, frozenset()))))
        except Exhausted as error:
            full = error
    assert full is not None, "no subnets to choose from"
    raise full


def _subnet_of(wanted: AddressWanted, network: NetworkId, subnets: Sequence[Subnet]) -> Subnet:
    if wanted.subnet is not None:
        for subnet in subnets:
            if subnet.id == wanted.subnet:
                return subnet
        raise Invalid(
            f"Failed to create port on network {network}, because fixed_ips included invalid subnet {wanted.subnet}.",
            kind="InvalidInput",
        )
    if wanted.address is None:
        raise Invalid("IP allocation requires subnet_id or ip_address.", kind="InvalidInput")
    address = parse_address(wanted.address)
    for subnet in subnets:
        if address in IPv4Network(subnet.cidr):
            return subnet
    raise Invalid(
        f"IP address {address} is not a valid IP for any of the subnets on the specified network {network}.",
        kind="InvalidIpForNetwork",
    )
