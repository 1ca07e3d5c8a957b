"""Writes openflow_golden.json: our messages as os-ken packs them. Run by a Python that has requirements/oracle.txt.

python -m venv ORACLE && ORACLE/bin/pip install --require-hashes -r requirements/oracle.txt
ORACLE/bin/python tests/unit/make_openflow_golden.py [FILE]
"""

import json
import sys
from pathlib import Path
from typing import Any

from os_ken.ofproto import ofproto_v1_3 as of
from os_ken.ofproto import ofproto_v1_3_parser as parser
from os_ken.ofproto.ofproto_protocol import ProtocolDesc

COOKIE = 0x0123456789ABCDEF
XID = 77

# Match as in seams/switch.py (prefixes as text), actions as [kind, number]; then the same as os-ken wants it.
FLOWS: dict[str, tuple[dict[str, Any], dict[str, Any], list[list[Any]]]] = {
    "drop": ({}, {}, []),
    "in_port to normal": ({"in_port": 7}, {"in_port": 7}, [["normal"]]),
    "largest in_port out": ({"in_port": 65279}, {"in_port": 65279}, [["output", 3]]),
    "goto": ({"in_port": 1}, {"in_port": 1}, [["goto", 60]]),
    "outputs, then goto": ({"in_port": 1}, {"in_port": 1}, [["output", 3], ["output", 4], ["normal"], ["goto", 254]]),
    "MAC addresses": (
        {"dl_src": "fa:16:3e:00:00:01", "dl_dst": "ff:ff:ff:ff:ff:ff"},
        {"eth_src": "fa:16:3e:00:00:01", "eth_dst": "ff:ff:ff:ff:ff:ff"},
        [["normal"]],
    ),
    "all multicast": (
        {"dl_dst": "01:00:00:00:00:00/01:00:00:00:00:00"},
        {"eth_dst": ("01:00:00:00:00:00", "01:00:00:00:00:00")},
        [],
    ),
    "anti-spoofing of IPv4": (
        {"in_port": 5, "dl_src": "fa:16:3e:00:00:01", "dl_type": 0x800, "nw_src": "10.0.0.5/32"},
        {"in_port": 5, "eth_src": "fa:16:3e:00:00:01", "eth_type": 0x800, "ipv4_src": "10.0.0.5"},
        [["goto", 10]],
    ),
    "networks": (
        {"dl_type": 0x800, "nw_src": "10.1.0.0/16", "nw_dst": "192.168.4.0/22"},
        {"eth_type": 0x800, "ipv4_src": ("10.1.0.0", "255.255.0.0"), "ipv4_dst": ("192.168.4.0", "255.255.252.0")},
        [["normal"]],
    ),
    "anywhere is no field": ({"dl_type": 0x800, "nw_dst": "0.0.0.0/0"}, {"eth_type": 0x800}, [["normal"]]),
    "DHCP requests": (
        {"in_port": 5, "dl_type": 0x800, "nw_proto": 17, "tp_src": 68, "tp_dst": 67},
        {"in_port": 5, "eth_type": 0x800, "ip_proto": 17, "udp_src": 68, "udp_dst": 67},
        [["normal"]],
    ),
    "TCP": (
        {"dl_type": 0x800, "nw_proto": 6, "tp_dst": 443},
        {"eth_type": 0x800, "ip_proto": 6, "tcp_dst": 443},
        [["normal"]],
    ),
    "TCP on IPv6": (
        {"dl_type": 0x86DD, "nw_proto": 6, "tp_src": 1, "tp_dst": 65535},
        {"eth_type": 0x86DD, "ip_proto": 6, "tcp_src": 1, "tcp_dst": 65535},
        [["normal"]],
    ),
    "SCTP": (
        {"dl_type": 0x800, "nw_proto": 132, "tp_src": 5, "tp_dst": 6},
        {"eth_type": 0x800, "ip_proto": 132, "sctp_src": 5, "sctp_dst": 6},
        [["normal"]],
    ),
    "ping": (
        {"dl_type": 0x800, "nw_proto": 1, "tp_src": 8, "tp_dst": 0},
        {"eth_type": 0x800, "ip_proto": 1, "icmpv4_type": 8, "icmpv4_code": 0},
        [["normal"]],
    ),
    "neighbour solicitation": (
        {"dl_type": 0x86DD, "nw_proto": 58, "tp_src": 135},
        {"eth_type": 0x86DD, "ip_proto": 58, "icmpv6_type": 135},
        [["normal"]],
    ),
    "ARP requests of one": (
        {
            "in_port": 5,
            "dl_type": 0x806,
            "nw_proto": 1,
            "arp_spa": "10.0.0.5/32",
            "arp_sha": "fa:16:3e:00:00:01",
        },
        {"in_port": 5, "eth_type": 0x806, "arp_op": 1, "arp_spa": "10.0.0.5", "arp_sha": "fa:16:3e:00:00:01"},
        [["normal"]],
    ),
    "ARP of a network": (
        {"dl_type": 0x806, "arp_spa": "10.0.0.0/8"},
        {"eth_type": 0x806, "arp_spa": ("10.0.0.0", "255.0.0.0")},
        [],
    ),
}


def packed(message: Any) -> str:
    message.set_xid(XID)
    message.serialize()
    octets: bytes = message.buf
    return bytes(octets).hex()


def instructions(actions: list[list[Any]]) -> list[Any]:
    apply, last = [], []
    for action in actions:
        match action:
            case ["output", port]:
                apply.append(parser.OFPActionOutput(port))
            case ["normal"]:
                apply.append(parser.OFPActionOutput(of.OFPP_NORMAL))
            case ["goto", table]:
                last.append(parser.OFPInstructionGotoTable(table))
    return [*([parser.OFPInstructionActions(of.OFPIT_APPLY_ACTIONS, apply)] if apply else []), *last]


def main() -> None:
    switch = ProtocolDesc(version=of.OFP_VERSION)
    nobody = {"out_port": of.OFPP_ANY, "out_group": of.OFPG_ANY}
    flows = []
    for number, (name, (match, foreign, actions)) in enumerate(FLOWS.items()):
        message = parser.OFPFlowMod(
            switch,
            cookie=COOKIE,
            table_id=number,
            priority=1000 + number,
            match=parser.OFPMatch(**foreign),
            instructions=instructions(actions),
            **nobody,
        )
        of_ours = {"name": name, "table": number, "priority": 1000 + number, "match": match, "actions": actions}
        flows.append({**of_ours, "packed": packed(message)})
    delete = parser.OFPFlowMod(
        switch,
        cookie=COOKIE,
        cookie_mask=0xFFFFFFFFFFFFFFFF,
        table_id=of.OFPTT_ALL,
        command=of.OFPFC_DELETE,
        priority=0,
        match=parser.OFPMatch(),
        **nobody,
    )
    asked = parser.OFPFlowStatsRequest(
        switch, 0, of.OFPTT_ALL, of.OFPP_ANY, of.OFPG_ANY, cookie=0, cookie_mask=0, match=parser.OFPMatch()
    )
    golden = {
        "cookie": COOKIE,
        "xid": XID,
        "flows": flows,
        "delete": packed(delete),
        "flows wanted": packed(asked),
        "barrier": packed(parser.OFPBarrierRequest(switch)),
        "echo reply of 'abc'": packed(parser.OFPEchoReply(switch, data=b"abc")),
    }
    into = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("openflow_golden.json")
    into.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
