"""Flows, and how ovs-ofctl(8) tells them."""

from ipaddress import IPv4Network, IPv6Network

from moorage.seams.flow import (
    ANY_VLAN,
    ICMPV6,
    INVALID,
    IPV4,
    IPV6,
    LATER,
    NEW,
    NO_VLAN,
    REPLY,
    TCP,
    Action,
    Conjunction,
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
    state,
)

TOLD: list[tuple[Match, tuple[Action, ...], str]] = [
    (Match(), (), "actions=drop"),
    (Match(in_port=3), (Normal(),), "in_port=3 actions=NORMAL"),
    (Match(), (Output(5), Output(6), GoTo(60)), "actions=output:5,output:6,goto_table:60"),
    (
        Match(dl_src="fa:16:3e:00:00:01", dl_dst="01:00:00:00:00:00/01:00:00:00:00:00"),
        (Normal(),),
        "dl_src=fa:16:3e:00:00:01,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 actions=NORMAL",
    ),
    (
        Match(dl_type=0x800, nw_src=IPv4Network("10.0.0.5/32"), nw_dst=IPv4Network("10.1.0.0/16")),
        (Normal(),),
        "ip,nw_src=10.0.0.5,nw_dst=10.1.0.0/16 actions=NORMAL",
    ),
    (
        Match(in_port=3, dl_type=0x800, nw_proto=17, tp_src=68, tp_dst=67),
        (Normal(),),
        "udp,in_port=3,tp_src=68,tp_dst=67 actions=NORMAL",
    ),
    (Match(dl_type=0x800, nw_proto=6, tp_dst=443), (), "tcp,tp_dst=443 actions=drop"),
    (Match(dl_type=0x800, nw_proto=1, tp_src=8, tp_dst=0), (), "icmp,icmp_type=8,icmp_code=0 actions=drop"),
    (Match(dl_type=0x86DD, nw_proto=58, tp_src=135), (), "icmp6,icmp_type=135 actions=drop"),
    (
        Match(dl_type=0x806, nw_proto=1, arp_spa=IPv4Network("10.0.0.5/32"), arp_sha="fa:16:3e:00:00:01"),
        (Normal(),),
        "arp,arp_spa=10.0.0.5,arp_op=1,arp_sha=fa:16:3e:00:00:01 actions=NORMAL",
    ),
    (Match(dl_type=0x806, arp_spa=IPv4Network("10.0.0.0/8")), (), "arp,arp_spa=10.0.0.0/8 actions=drop"),
    (
        Match(vlan=NO_VLAN),
        (PushVlan(), VlanFrom("reg6")),
        "vlan_tci=0x0000/0x1fff actions=push_vlan:0x8100,move:NXM_NX_REG6[0..11]->OXM_OF_VLAN_VID[]",
    ),
    (
        Match(vlan=ANY_VLAN),
        (VlanInto("reg6"), PopVlan()),
        "vlan_tci=0x1000/0x1000 actions=move:OXM_OF_VLAN_VID[]->NXM_NX_REG6[0..11],pop_vlan",
    ),
    (
        Match(dl_type=IPV6, nw_proto=ICMPV6, tp_src=136, tp_dst=0, nd_target=IPv6Network("fe80::1/128")),
        (Load("reg2", 1, bits=1), OutputTo("reg7"), Resubmit(50)),
        "icmp6,icmp_type=136,icmp_code=0,nd_target=fe80::1 "
        "actions=load:0x1->NXM_NX_REG2[0],output:NXM_NX_REG7[],resubmit(,50)",
    ),
    (
        Match(
            xreg0=0x0123456789ABCDEF,
            dl_type=IPV4,
            ct_state=state(lacks=INVALID),
            ct_nw_proto=TCP,
            ct_tp_dst=Masked(80, 0xFFFE),
        ),
        (Load("xreg0", 0xFEDCBA9876543210),),
        "ct_state=-inv+trk,ct_nw_proto=6,ct_tp_dst=0x50/0xfffe,ip,reg0=0x1234567,reg1=0x89abcdef "
        "actions=load:0xfedcba9876543210->OXM_OF_PKT_REG0[]",
    ),
    (
        Match(
            reg6=7,
            dl_type=IPV4,
            ct_state=state(lacks=INVALID),
            ct_nw_src=IPv4Network("10.0.0.0/8"),
            ct_nw_dst=IPv4Network("10.1.2.3/32"),
        ),
        (Conjunction(9, 1, 2),),
        "ct_state=-inv+trk,ct_nw_src=10.0.0.0/8,ct_nw_dst=10.1.2.3,ip,reg6=0x7 actions=conjunction(9,1/2)",
    ),
    (
        Match(
            dl_type=IPV6,
            ct_state=state(has=NEW),
            ct_nw_src=IPv6Network("fe80::/10"),
            ct_nw_proto=ICMPV6,
            ct_tp_src=128,
        ),
        (Track("reg7", commit=True, mark=1), Track(65535, table=60)),
        "ct_state=+new+trk,ct_ipv6_src=fe80::/10,ct_nw_proto=58,ct_tp_src=128,ipv6 "
        "actions=ct(commit,zone=NXM_NX_REG7[0..15],exec(load:0x1->NXM_NX_CT_MARK[])),ct(table=60,zone=65535)",
    ),
    (Match(dl_type=IPV4, nw_frag=LATER), (), "ip,nw_frag=later actions=drop"),
    (Match(conj_id=9), (Load("reg2", 0),), "conj_id=9 actions=load:0->NXM_NX_REG2[]"),
    (
        Match(reg2=Masked(2, 2), ct_mark=1, ct_state=state(has=REPLY)),
        (),
        "ct_state=+rpl+trk,ct_mark=0x1,reg2=0x2/0x2 actions=drop",
    ),
]
