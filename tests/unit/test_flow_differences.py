"""Which messages make one set of flows of another: only what differs, what is new before what goes."""

from moorage.adapters.openflow.messages import Kind, delete_flows, forget_connections
from moorage.adapters.ovsdb.flows import PORT_BITS, SHARED, by_port, packed, packed_shared, prefix_of, to_send
from moorage.domain.ids import PortId
from moorage.seams.flow import Flow, Match, Normal

PORT = PortId("0a0b0c0d-0000-4000-8000-00000000000a")
FLOWS = [Flow(0, number, Match(in_port=number), (Normal(),)) for number in range(1, 5)]


def test_flows_have_the_same_cookies_always_and_others_have_others() -> None:
    wanted, shared = packed(PORT, FLOWS), packed_shared(FLOWS)
    assert wanted == packed(PORT, [*reversed(FLOWS), FLOWS[0]])
    assert shared == packed_shared(reversed(FLOWS))
    assert len(wanted) == len(shared) == len(FLOWS)
    assert {cookie & (PORT_BITS | SHARED) for cookie in wanted} == {0x0A0B0C0D << 32}
    assert all(cookie & SHARED for cookie in shared)
    assert by_port([*wanted, *shared, 6]) == ({prefix_of(PORT): set(wanted), 0: {6}}, set(shared))


def test_what_is_there_is_not_sent() -> None:
    wanted = packed(PORT, FLOWS)
    assert to_send(wanted, set(wanted)) == []


def test_what_is_new_is_sent_before_what_goes_is_deleted() -> None:
    before, after = packed(PORT, FLOWS[:3]), packed(PORT, FLOWS[1:])
    [gone], [new] = before.keys() - after.keys(), after.keys() - before.keys()
    assert to_send(after, set(before)) == [after[new], delete_flows(gone)]


def test_connections_are_forgotten_where_a_port_is_new_and_nowhere_else() -> None:
    before, after, elsewhere = packed(PORT, FLOWS[:2]), packed(PORT, FLOWS[1:3]), packed(PORT, FLOWS[2:])
    assert to_send(before, set(), zone=7)[0] == forget_connections(7)
    assert to_send(elsewhere, set(before), zone=7)[0] == forget_connections(7), "it has moved to another ofport"
    assert forget_connections(7) not in to_send(after, set(before), zone=7)
    assert to_send(before, set(before), zone=7) == []
    assert forget_connections(7) not in to_send(before, set())


def test_a_message_of_packed_flows_carries_its_cookie() -> None:
    for cookie, message in packed(PORT, FLOWS).items():
        assert (message.kind, int.from_bytes(message.body[:8], "big")) == (Kind.FLOW_MOD, cookie)
