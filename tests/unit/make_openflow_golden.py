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
    "IPv6 networks": (
        {"dl_type": 0x86DD, "nw_src": "fe80::/64", "nw_dst": "2001:db8::1/128"},
        {"eth_type": 0x86DD, "ipv6_src": ("fe80::", "ffff:ffff:ffff:ffff::"), "ipv6_dst": "2001:db8::1"},
        [],
    ),
    "neighbour advertisement of one": (
        {"dl_type": 0x86DD, "nw_proto": 58, "tp_src": 136, "tp_dst": 0, "nd_target": "fe80::1/128"},
        {"eth_type": 0x86DD, "ip_proto": 58, "icmpv6_type": 136, "icmpv6_code": 0, "ipv6_nd_target": "fe80::1"},
        [["goto", 254]],
    ),
    "without a tag": ({"in_port": 1, "vlan": 0}, {"in_port": 1, "vlan_vid": 0}, []),
    "with a tag": (
        {"in_port": 1, "vlan": [0x1000, 0x1000]},
        {"in_port": 1, "vlan_vid": (0x1000, 0x1000)},
        [["vlan into", "reg6"], ["pop vlan"], ["goto", 254]],
    ),
    "a range of ports": (
        {"dl_type": 0x800, "nw_proto": 17, "tp_dst": [1000, 0xFFFC]},
        {"eth_type": 0x800, "ip_proto": 17, "udp_dst": (1000, 0xFFFC)},
        [],
    ),
    "registers": (
        {"reg2": [1, 1], "reg5": 7, "reg6": 4094, "reg7": 65279},
        {"reg2": (1, 1), "reg5": 7, "reg6": 4094, "reg7": 65279},
        [["load", "reg5", 7], ["load", "reg2", 1, 0, 1], ["load", "reg6", 3, 12, 4], ["output to", "reg7"]],
    ),
    "a connection": (
        {"ct_state": [0x21, 0x31], "ct_mark": 1},
        {"ct_state": (0x21, 0x31), "ct_mark": 1},
        [["track", "reg7", None, True, None], ["resubmit", 50], ["output to", "reg7"]],
    ),
    "to be tracked": (
        {"dl_type": 0x86DD},
        {"eth_type": 0x86DD},
        [["track", "reg5", 22, False, None], ["track", 65535, 60, False, None], ["track", 7, None, True, 1]],
    ),
    "where clauses meet": ({"conj_id": 0xFFFFFFFF}, {"conj_id": 0xFFFFFFFF}, [["load", "reg2", 1, 0, 1]]),
    "clauses": ({"reg6": 1}, {"reg6": 1}, [["conjunction", 5, 1, 2], ["conjunction", 0xFFFFFFFF, 2, 2]]),
    "tagged and out": ({}, {}, [["push vlan"], ["vlan from", "reg6"], ["output", 9]]),
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
            case ["load", register, value]:
                apply.append(parser.NXActionRegLoad(ofs_nbits=31, dst=register, value=value))
            case ["load", register, value, at, bits]:
                apply.append(parser.NXActionRegLoad(ofs_nbits=at << 6 | bits - 1, dst=register, value=value))
            case ["output to", register]:
                apply.append(parser.NXActionOutputReg(ofs_nbits=31, src=register, max_len=0xFFFF))
            case ["resubmit", table]:
                apply.append(parser.NXActionResubmitTable(table_id=table))
            case ["vlan into", register]:
                apply.append(parser.NXActionRegMove(src_field="vlan_vid", dst_field=register, n_bits=12))
            case ["vlan from", register]:
                apply.append(parser.NXActionRegMove(src_field=register, dst_field="vlan_vid", n_bits=12))
            case ["push vlan"]:
                apply.append(parser.OFPActionPushVlan(0x8100))
            case ["pop vlan"]:
                apply.append(parser.OFPActionPopVlan())
            case ["conjunction", number, clause, of_clauses]:
                apply.append(parser.NXActionConjunction(clause=clause - 1, n_clauses=of_clauses, id_=number))
            case ["track", zone, table, commit, mark]:
                apply.append(tracked(zone, table, commit, mark))
    return [*([parser.OFPInstructionActions(of.OFPIT_APPLY_ACTIONS, apply)] if apply else []), *last]


def tracked(zone: int | str, table: int | None, commit: bool, mark: int | None) -> Any:
    from_register = isinstance(zone, str)
    return parser.NXActionCT(
        flags=int(commit),
        zone_src=zone if from_register else "",
        zone_ofs_nbits=15 if from_register else zone,
        recirc_table=0xFF if table is None else table,
        alg=0,
        actions=[] if mark is None else [parser.NXActionRegLoad(ofs_nbits=31, dst="ct_mark", value=mark)],
    )


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
        "connections of zone 7 forgotten": packed(
            parser.OFPExperimenter(switch, experimenter=0x00002320, exp_type=29, data=bytes([0, 0, 0, 0, 0, 0, 0, 7]))
        ),
        "barrier": packed(parser.OFPBarrierRequest(switch)),
        "echo reply of 'abc'": packed(parser.OFPEchoReply(switch, data=b"abc")),
    }
    into = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("openflow_golden.json")
    into.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
