"""Flows as messages to the switch. A flow's cookie says whose it is and which: what the switch has, its cookies tell.

Its first 32 bits are the owner's, the others a digest of the flow.
"""

import hashlib
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from uuid import UUID

from moorage.adapters.openflow.messages import Message, add_flow, delete_flows, with_cookie
from moorage.domain.ids import PortId
from moorage.seams.switch import Flow, Match, Normal

SERVICE_PRIORITY = 100
OWNER_BITS = 0xFFFFFFFF_00000000
_DIGEST_BITS = 0xFFFFFFFF

Packed = Mapping[int, Message]  # flows by their cookies, each message adds one


def owner_of(port: PortId) -> int:
    """The port id's first 8 digits, so that `ovs-ofctl dump-flows` can be read, and 8 zeros; a digest of one that is no
    UUID."""
    try:
        return UUID(port).int >> 64 & OWNER_BITS
    except ValueError:
        return int.from_bytes(hashlib.blake2b(port.encode(), digest_size=4).digest(), "big") << 32


def packed(owner: PortId, flows: Iterable[Flow]) -> Packed:
    """An owner's flows; the same ones have the same cookies, always. Raises ValueError for one that makes no sense."""
    first = owner_of(owner)
    found: dict[int, Message] = {}
    for flow in flows:
        message = add_flow(flow, first)
        cookie = first | int.from_bytes(hashlib.blake2b(message.body, digest_size=4).digest(), "big")
        while (met := found.get(cookie)) is not None and met.body[8:] != message.body[8:]:  # behind the cookie
            cookie = first | (cookie + 1) & _DIGEST_BITS
        found[cookie] = with_cookie(message, cookie)
    return found


def to_send(wanted: Packed, there: AbstractSet[int]) -> list[Message]:
    """What makes an owner's flows `wanted` of those that have the cookies `there`; what is in both is left alone.

    First what is new, then what goes, so that packets which may pass before and after pass all the time: a new flow
    takes the place of one with the same table, priority and match.
    """
    new = [message for cookie, message in wanted.items() if cookie not in there]
    return new + [delete_flows(cookie) for cookie in sorted(there - wanted.keys())]


def delete_all(owner: PortId) -> Message:
    """Delete all flows of the owner."""
    return delete_flows(owner_of(owner), OWNER_BITS)


def by_owner(cookies: Iterable[int]) -> dict[int, set[int]]:
    """The cookies of each owner."""
    found: dict[int, set[int]] = {}
    for cookie in cookies:
        found.setdefault(cookie & OWNER_BITS, set()).add(cookie)
    return found


def service_flows(ofport: int) -> list[Flow]:
    """A port of our own may send whatever it likes within its VLAN."""
    return [Flow(table=0, priority=SERVICE_PRIORITY, match=Match(in_port=ofport), actions=(Normal(),))]
