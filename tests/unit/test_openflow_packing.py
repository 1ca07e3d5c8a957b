"""Our OpenFlow messages, byte by byte as os-ken packs them (make_openflow_golden.py wrote the golden ones)."""

import json
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

import pytest

from moorage.adapters.openflow.messages import (
    BARRIER,
    HELLO,
    Kind,
    Message,
    add_flow,
    delete_flows,
    describe_error,
    flows_told,
    flows_wanted,
    forget_connections,
    pack,
    with_cookie,
)
from moorage.seams.flow import (
    Action,
    Conjunction,
    Flow,
    GoTo,
    Load,
    Masked,
    Match,
    Normal,
    Output,
    OutputTo,
    PopVlan,
    PushVlan,
    Resubmit,
    Track,
    VlanFrom,
    VlanInto,
)

GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("openflow_golden.json").read_text())
COOKIE, XID = GOLDEN["cookie"], GOLDEN["xid"]


ACTIONS: dict[str, Callable[..., Action]] = {
    "output": Output,
    "goto": GoTo,
    "normal": Normal,
    "load": Load,
    "output to": OutputTo,
    "resubmit": Resubmit,
    "vlan into": VlanInto,
    "vlan from": VlanFrom,
    "push vlan": PushVlan,
    "pop vlan": PopVlan,
    "conjunction": Conjunction,
    "track": Track,
}
PREFIXES = ("nw_src", "nw_dst", "nd_target", "arp_spa")


def a_flow(golden: dict[str, Any]) -> Flow:
    fields: dict[str, Any] = {
        name: ip_network(value) if name in PREFIXES else Masked(*value) if isinstance(value, list) else value
        for name, value in golden["match"].items()
    }
    actions = tuple([ACTIONS[kind](*of) for kind, *of in golden["actions"]])
    return Flow(golden["table"], golden["priority"], Match(**fields), actions)


@pytest.mark.parametrize("golden", GOLDEN["flows"], ids=lambda golden: str(golden["name"]))
def test_a_flow_is_packed_as_by_os_ken(golden: dict[str, Any]) -> None:
    assert pack(add_flow(a_flow(golden), COOKIE), XID).hex() == golden["packed"]


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (delete_flows(COOKIE), "delete"),
        (forget_connections(7), "connections of zone 7 forgotten"),
        (flows_wanted(), "flows wanted"),
        (BARRIER, "barrier"),
        (Message(Kind.ECHO_REPLY, b"abc"), "echo reply of 'abc'"),
    ],
)
def test_the_other_messages_are_packed_as_by_os_ken(message: Message, name: str) -> None:
    assert pack(message, XID).hex() == GOLDEN[name]


def test_only_the_cookie_differs_in_a_message_with_another_cookie() -> None:
    flow = Flow(3, 7, Match(in_port=1), (Normal(),))
    assert with_cookie(add_flow(flow, 1).body, COOKIE) == add_flow(flow, COOKIE)


def a_part(*cookies: int, more: bool = False) -> bytes:
    """An answer that tells flows: OpenFlow 1.3.5, sections 7.3.5 and 7.3.5.2."""
    flow = "0048 05 00 00000001 00000002 0064 0000 0000 0000 00000000 {:016x} {:016x} {:016x} "
    match, instruction = "0001 000c 80000004 00000007 00000000", "0001 0008 06 000000"
    entries = [flow.format(cookie, 3, 4) + match + instruction for cookie in cookies]
    return bytes.fromhex(f"0001 {int(more):04x} 00000000" + "".join(entries))


def test_the_cookies_of_flows_are_read_from_an_answer() -> None:
    assert flows_told(a_part(1, COOKIE, more=True)) == ([1, COOKIE], False)
    assert flows_told(a_part(COOKIE)) == ([COOKIE], True)
    assert flows_told(a_part()) == ([], True)


@pytest.mark.parametrize("body", [b"", a_part(1)[:30], a_part() + bytes(64), b"\0\2" + bytes(6)])
def test_an_answer_that_tells_no_flows_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="flow"):
        flows_told(body)


def test_a_hello_says_which_version_we_speak() -> None:
    """OpenFlow 1.3.5, sections 7.1.1 and 7.5.1; os-ken sends none of its elements."""
    header, element = "04 00 0010 00000001", "0001 0008 00000010"
    assert pack(HELLO, 1) == bytes.fromhex(header + element)


@pytest.mark.parametrize(
    ("flow", "why"),
    [
        (Flow(0, 1, Match(tp_dst=80)), "tp_dst: cannot be matched without"),
        (Flow(0, 1, Match(nw_proto=6)), "nw_proto: cannot be matched without"),
        (Flow(0, 1, Match(dl_type=0x806, nw_src=IPv4Network("10.0.0.0/8"))), "nw_src: cannot be matched without"),
        (Flow(0, 1, Match(dl_src="fa:16:3e")), "is not a MAC address"),
        (Flow(0, 1, Match(dl_src="nonsense")), "hexadecimal"),
        (Flow(0, 1, Match(dl_type=0x800, nw_proto=6, tp_dst=65536)), "65536 does not fit into 2 bytes"),
        (Flow(256, 1, Match()), "out of range"),
        (Flow(0, 65536, Match()), "out of range"),
        (Flow(0, 1, Match(dl_type=0x86DD, nw_src=IPv4Network("10.0.0.0/8"))), "of another IP version"),
        (Flow(0, 1, Match(dl_type=0x800, nw_dst=IPv6Network("::/8"))), "of another IP version"),
        (Flow(0, 1, Match(reg2=Masked(2, 1))), "bits outside of its mask"),
        (Flow(0, 1, Match(ct_tp_dst=80)), "ct_tp_dst: cannot be matched without"),
        (Flow(0, 1, Match(), (Load("reg2", 2, bits=1),)), "does not fit into 1 bits"),
        (Flow(0, 1, Match(), (Load("reg2", 1, 32, 1),)), "does not fit"),
        (Flow(0, 1, Match(), (Conjunction(1, 3, 2),)), "clause 3 of 2"),
        (Flow(0, 1, Match(), (Track(1, mark=1),)), "not kept"),
        (Flow(0, 1, Match(), (GoTo(300),)), "out of range"),
        (Flow(0, 1, Match(), (Output(-1),)), "out of range"),
        (Flow(0, 1, Match(), (Output(1),) * 4094), "a flow of"),
    ],
)
def test_a_flow_that_makes_no_sense_is_refused(flow: Flow, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        add_flow(flow, COOKIE)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("00040009" + "00" * 64, "BAD_MATCH: BAD_PREREQ"),
        ("00020004", "BAD_ACTION: BAD_OUT_PORT"),
        ("00050063", "FLOW_MOD_FAILED: code 99"),
        ("ffff0001", "error type 65535: code 1"),
    ],
)
def test_an_error_is_told_in_the_words_of_the_specification(body: str, words: str) -> None:
    assert describe_error(bytes.fromhex(body)) == words
