"""A port's flows as messages to the switch; the cookie says whose they are."""

import hashlib
from collections.abc import Sequence
from uuid import UUID

from moorage.adapters.openflow.messages import Message, add_flow, delete_flows
from moorage.domain.ids import PortId
from moorage.seams.switch import Flow, Match, Normal

SERVICE_PRIORITY = 100


def cookie_of(port: PortId) -> int:
    """The port id's first 16 digits, so that `ovs-ofctl dump-flows` can be read; a digest of one that is no UUID."""
    try:
        return UUID(port).int >> 64
    except ValueError:
        return int.from_bytes(hashlib.blake2b(port.encode(), digest_size=8).digest(), "big") >> 1


def delete_port(port: PortId) -> Message:
    """Delete all flows of the port."""
    return delete_flows(cookie_of(port))


def replace_port(port: PortId, flows: Sequence[Flow]) -> list[Message]:
    """Delete all flows of the port, then add these. Raises ValueError for a flow that makes no sense."""
    cookie = cookie_of(port)
    return [delete_flows(cookie), *[add_flow(flow, cookie) for flow in flows]]


def service_flows(ofport: int) -> list[Flow]:
    """A port of our own may send whatever it likes within its VLAN."""
    return [Flow(table=0, priority=SERVICE_PRIORITY, match=Match(in_port=ofport), actions=(Normal(),))]
