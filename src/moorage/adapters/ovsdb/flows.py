"""Flows as messages to the switch. A flow's cookie says which it is: what the switch has, its cookies tell.

A port's flow: the port's first 32 bits, a digest of the flow, and 0. One that ports share: a digest, and 1.
"""

import hashlib
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from uuid import UUID

from moorage.adapters.openflow.messages import Message, add_flow, delete_flows, forget_connections, with_cookie
from moorage.domain.ids import PortId
from moorage.seams.flow import Flow

PORT_BITS = 0xFFFFFFFF_00000000
SHARED = 1

Packed = Mapping[int, Message]  # flows by their cookies, each message adds one


def prefix_of(port: PortId) -> int:
    """The port id's first 8 digits, so that `ovs-ofctl dump-flows` can be read, and 8 zeros; a digest of one that is no
    UUID."""
    try:
        return UUID(port).int >> 64 & PORT_BITS
    except ValueError:
        return int.from_bytes(hashlib.blake2b(port.encode(), digest_size=4).digest(), "big") << 32


def packed(port: PortId, flows: Iterable[Flow]) -> Packed:
    """A port's flows; the same ones have the same cookies, always. Raises ValueError for one that makes no sense."""
    prefix = prefix_of(port)
    messages = [add_flow(flow, 0) for flow in flows]
    cookies = {message.body: prefix | _digest(message.body) & ~PORT_BITS & ~SHARED for message in messages}
    return _with_cookies(cookies)


def packed_shared(flows: Iterable[Flow]) -> Packed:
    """The same for flows that are no port's own."""
    messages = [add_flow(flow, 0) for flow in flows]
    return _with_cookies({message.body: _digest(message.body) | SHARED for message in messages})


def to_send(wanted: Packed, there: AbstractSet[int], zone: int | None = None) -> list[Message]:
    """What makes a port's flows `wanted` of those that have the cookies `there`; what is in both is left alone.

    First what is new, then what goes, so that packets which may pass before and after pass all the time: a new flow
    takes the place of one with the same table, priority and match. A port that has none of its flows yet is new where
    it is: the connections of its `zone` are somebody else's, and are forgotten first.
    """
    forgotten = [forget_connections(zone)] if zone is not None and not wanted.keys() & there else []
    return forgotten + new_of(wanted, there) + [delete_flows(cookie) for cookie in sorted(there - wanted.keys())]


def new_of(wanted: Packed, there: AbstractSet[int]) -> list[Message]:
    return [message for cookie, message in wanted.items() if cookie not in there]


def delete_all(port: PortId) -> Message:
    """Delete all flows of the port."""
    return delete_flows(prefix_of(port), PORT_BITS | SHARED)


def by_port(cookies: Iterable[int]) -> tuple[dict[int, set[int]], set[int]]:
    """The cookies of each port, by its prefix, and those of shared flows."""
    found: dict[int, set[int]] = {}
    shared: set[int] = set()
    for cookie in cookies:
        if cookie & SHARED:
            shared.add(cookie)
        else:
            found.setdefault(cookie & PORT_BITS, set()).add(cookie)
    return found, shared


def _digest(body: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(body, digest_size=8).digest(), "big")


def _with_cookies(cookies: Mapping[bytes, int]) -> Packed:
    """By their cookies the messages with these bodies; of two that would have the same one, one gets another."""
    found: dict[int, Message] = {}
    for body, cookie in sorted(cookies.items()):
        while cookie in found:
            cookie ^= 1 << (len(found) % 30 + 1)
        found[cookie] = with_cookie(body, cookie)
    return found
