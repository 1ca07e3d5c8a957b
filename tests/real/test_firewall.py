"""The firewall, with packets: each kind of rule lets through what it is for and nothing else; nobody is somebody else.

What must not pass is tried where it would pass if something were different, and then does.
"""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from tests.real.guarded import OTHER_NET, Guest, Wall, a_wall
from tests.real.packets import (
    arp,
    arrives,
    connection,
    connects,
    ethernet,
    icmp6,
    ipv4,
    mac,
    pings,
    sends,
    soon,
    tag_at,
    udp4,
)

from moorage.domain.ids import device_name
from moorage.wire.messages import GroupRuleSpec

pytestmark = pytest.mark.timeout(60)
BROADCAST = "ff:ff:ff:ff:ff:ff"


def rule(
    direction: str = "ingress",
    protocol: int | None = None,
    first: int | None = None,
    last: int | None = None,
    *,
    prefix: str | None = None,
    group: str | None = None,
    v6: bool = False,
) -> GroupRuleSpec:
    return GroupRuleSpec(
        direction=direction,
        ethertype="IPv6" if v6 else "IPv4",
        protocol=protocol,
        first=first,
        last=last if last is not None or protocol in (1, 58) else first,
        remote_prefix=prefix,
        remote_group=group,
    )


OUT = (rule("egress"), rule("egress", v6=True))
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58


@pytest.fixture
async def wall() -> AsyncIterator[Wall]:
    async with a_wall() as wall:
        await wall.rules("out", *OUT)
        await wall.rules("a")
        await wall.rules("b")
        yield wall


async def pair(wall: Wall, **details: Any) -> tuple[Guest, Guest]:
    """Two guests that may send all, and get what groups "a" and "b" let in."""
    return await wall.guest("a", "out", "a"), await wall.guest("b", "out", "b", **details)


async def test_nothing_comes_in_until_a_rule_lets_it_in_and_answers_always_pass(wall: Wall) -> None:
    a, b = await pair(wall)
    for v6 in (False, True):
        assert not await pings(a, b, v6=v6)
        assert not await connects(a, b, 80, v6=v6)
        assert not await sends(a, b, 53, v6=v6)
    await wall.rules("b", rule(), rule(v6=True))
    for v6 in (False, True):
        await soon(partial(pings, a, b, v6=v6))
        await soon(partial(connects, a, b, 80, v6=v6))
        await soon(partial(sends, a, b, 53, v6=v6))
        assert not await pings(b, a, v6=v6), "answers came in, but nothing else"
        assert not await connects(b, a, 80, v6=v6)
    await wall.rules("b", rule())
    await soon(lambda: pings(a, b, v6=True), is_so=False)
    await soon(lambda: pings(a, b))  # each IP version has rules of its own


@pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])
async def test_ports_and_protocols(wall: Wall, v6: bool) -> None:
    a, b = await pair(wall)
    await wall.rules("b", rule("ingress", TCP, 80, v6=v6), rule("ingress", UDP, 1000, 1005, v6=v6))
    await soon(lambda: connects(a, b, 80, v6=v6))
    assert not await connects(a, b, 81, v6=v6)
    assert not await sends(a, b, 80, v6=v6)
    for port, passes in {999: False, 1000: True, 1003: True, 1004: True, 1005: True, 1006: False}.items():
        await soon(partial(sends, a, b, port, v6=v6), is_so=passes)
    await soon(partial(sends, a, b, 1000, v6=v6, size=5000))  # in fragments
    assert not await sends(a, b, 999, v6=v6, size=5000)
    assert not await pings(a, b, v6=v6)
    await wall.rules("b", rule("ingress", ICMPV6 if v6 else ICMP, 128 if v6 else 8, 0, v6=v6))
    await soon(lambda: pings(a, b, v6=v6))
    assert not await connects(a, b, 80, v6=v6)
    await wall.rules("b", rule("ingress", ICMPV6 if v6 else ICMP, 13, v6=v6))
    await soon(lambda: pings(a, b, v6=v6), is_so=False)
    await wall.rules("b", rule("ingress", ICMPV6 if v6 else ICMP, v6=v6))
    await soon(lambda: pings(a, b, v6=v6))


async def test_a_protocol_by_its_number(wall: Wall) -> None:
    a, b = await pair(wall)
    packet = ipv4(112, bytes([10, 0, 0, a.number]), bytes([10, 0, 0, b.number]), b"vrrp here")
    frame = ethernet(a.mac, b.mac, 0x0800, packet)
    await wall.rules("b", rule("ingress", 47))
    await asyncio.sleep(0.1)
    assert not await arrives(a, b, frame)
    await wall.rules("b", rule("ingress", 112))
    await soon(lambda: arrives(a, b, frame))


async def test_prefixes(wall: Wall) -> None:
    a, b = await pair(wall)
    c = await wall.guest("c", "out")
    await wall.rules("b", rule(prefix=f"{a.address}/32"), rule(v6=True, prefix=f"{c.address6}/128"))
    await soon(lambda: pings(a, b))
    assert not await pings(c, b)
    await soon(lambda: pings(c, b, v6=True))
    assert not await pings(a, b, v6=True)
    await wall.rules("b", rule(prefix="10.0.0.0/24"), rule(v6=True, prefix="fe80::/10"))
    await soon(lambda: pings(c, b))
    await soon(lambda: pings(a, b))
    await soon(lambda: pings(a, b, v6=True))


async def test_what_goes_out_needs_a_rule_too(wall: Wall) -> None:
    await wall.rules("b", rule(), rule(v6=True))
    a, b = await wall.guest("a", "a"), await wall.guest("b", "b")
    assert not await pings(a, b)
    assert not await pings(a, b, v6=True)
    await wall.rules("a", rule("egress", UDP, 53), rule("egress", ICMPV6, v6=True, prefix=f"{b.address6}/128"))
    await soon(lambda: sends(a, b, 53))
    assert not await sends(a, b, 54)
    assert not await pings(a, b)
    await soon(lambda: pings(a, b, v6=True))
    await wall.rules("a", rule("egress", group="b"))
    await soon(lambda: pings(a, b))
    c = await wall.guest("c", "out")
    await wall.rules("out", *OUT, rule())
    assert not await pings(a, c)
    await wall.change(c, security_groups=("out", "b"))
    await soon(lambda: pings(a, c))


async def test_members_of_a_group_come_and_go(wall: Wall) -> None:
    a, b = await pair(wall)
    c = await wall.guest("c", "out")
    await wall.rules(
        "b", rule("ingress", TCP, 80, group="a"), rule("ingress", ICMP, group="b"), rule(v6=True, group="a")
    )
    await soon(lambda: connects(a, b, 80))
    assert not await pings(a, b), "it is in another group than the rule for pings names"
    assert not await connects(c, b, 80)
    await wall.change(c, security_groups=("out", "b"))
    await soon(lambda: pings(c, b))
    assert not await connects(c, b, 80)
    await wall.change(c, security_groups=("out", "a", "b"))
    await soon(lambda: connects(c, b, 80))
    await soon(lambda: pings(c, b))
    await wall.change(c, security_groups=("out",))
    await soon(lambda: pings(c, b), is_so=False)
    assert not await connects(c, b, 80)
    await soon(lambda: connects(a, b, 80))
    await wall.change(a, allowed_address_pairs=({"ip_address": f"{a.address6}/128"},))
    await soon(lambda: pings(a, b, v6=True))
    await wall.change(c, security_groups=("out", "b"))
    await wall.change(a, allowed_address_pairs=({"ip_address": "10.0.0.0/24"},))
    await soon(lambda: connects(c, b, 80))
    await soon(lambda: pings(c, b))  # it is in one group by itself, and in the other by a prefix


async def test_a_connection_outlives_other_changes_and_ends_with_its_rule(wall: Wall) -> None:
    a, b = await pair(wall)
    web, ssh = rule("ingress", TCP, 80), rule("ingress", TCP, 22)
    await wall.rules("b", web, ssh)
    await soon(lambda: connects(a, b, 80))
    async with connection(a, b, 80) as through_web, connection(a, b, 22) as through_ssh:
        assert await through_web.carries()
        assert await through_ssh.carries()
        await wall.rules("b", web)
        await soon(through_ssh.carries, is_so=False)
        assert not await through_ssh.carries(back=True), "the answers' way is closed too"
        assert await through_web.carries()
        assert await through_web.carries(back=True)
        await wall.rules("b", web, ssh)
        await soon(through_ssh.carries, within=3.0)  # what was said meanwhile is sent again, later and later
        await wall.rules("out", rule("egress", v6=True))
        await soon(through_web.carries, is_so=False)
        assert not await through_web.carries(back=True)


async def test_nobody_sends_as_somebody_else(wall: Wall) -> None:
    a, b = await pair(wall)
    c = await wall.guest("c", "out")
    await wall.rules("b", rule(), rule(v6=True))
    of_c = udp4(a.mac, b.mac, (c.address, b.address), (9, 9))
    with_macs_of_c = udp4(c.mac, b.mac, (a.address, b.address), (9, 9))
    honest = udp4(a.mac, b.mac, (a.address, b.address), (9, 9))
    tagged = udp4(a.mac, b.mac, (a.address, b.address), (9, 9), vlan=await wall.vlan(a.network))
    await soon(lambda: arrives(a, b, honest))
    for false in (of_c, with_macs_of_c):
        assert not await arrives(a, b, false)
    assert not await arrives(a, b, tagged, as_frame=honest)

    await soon(lambda: arrives(a, b, arp(a.mac, a.address, b.address)))
    await soon(lambda: arrives(a, b, arp(a.mac, "0.0.0.0", b.address)))  # a probe
    for false in (arp(a.mac, c.address, b.address, is_reply=True), arp(a.mac, a.address, b.address, sender=c.mac)):
        assert not await arrives(a, b, false)

    def solicitation(of: str) -> bytes:
        """A question for b's address, and a's own answer to where a is."""
        option = b"\x01\x01" + mac(a.mac)
        return icmp6(a.mac, b.mac, (of, b.address6), 135, bytes(4) + packed6(b.address6) + option)

    def advertisement(target: str) -> bytes:
        return icmp6(
            a.mac, b.mac, (a.address6, b.address6), 136, b"\x20\0\0\0" + packed6(target) + b"\2\1" + mac(a.mac)
        )

    await soon(lambda: arrives(a, b, solicitation(a.address6)))
    assert not await arrives(a, b, solicitation(c.address6))
    await soon(lambda: arrives(a, b, advertisement(a.address6)))
    assert not await arrives(a, b, advertisement(c.address6))

    spoofed = (of_c, with_macs_of_c, solicitation(c.address6), advertisement(c.address6))
    await wall.change(a, port_security_enabled=False, security_groups=())
    await soon(lambda: arrives(a, b, of_c))
    for frame in (*spoofed, arp(a.mac, c.address, b.address, is_reply=True)):
        await soon(partial(arrives, a, b, frame))  # port security was what kept it back


def packed6(address: str) -> bytes:
    import ipaddress

    return ipaddress.IPv6Address(address).packed


async def test_a_guest_is_no_dhcp_server_and_no_router(wall: Wall) -> None:
    a, b = await pair(wall)
    offer = udp4(a.mac, b.mac, (a.address, b.address), (67, 68))
    offer_to_all = udp4(a.mac, BROADCAST, (a.address, "255.255.255.255"), (67, 68))
    advertisement = icmp6(a.mac, "33:33:00:00:00:01", (a.address6, "ff02::1"), 134, bytes(12))
    for frame in (offer, offer_to_all, advertisement):
        assert not await arrives(a, b, frame)
    await wall.change(a, port_security_enabled=False, security_groups=())
    await soon(lambda: arrives(a, b, offer))
    for frame in (offer_to_all, advertisement):
        await soon(partial(arrives, a, b, frame))


async def test_allowed_address_pairs(wall: Wall) -> None:
    a, b = await pair(wall)
    await wall.rules("b", rule())
    virtual = "00:00:5e:00:01:07"
    borrowed = udp4(a.mac, b.mac, ("10.0.0.99", b.address), (9, 9))
    with_mac = udp4(virtual, b.mac, ("10.0.0.98", b.address), (9, 9))
    for_virtual = udp4(b.mac, virtual, (b.address, "10.0.0.98"), (8, 8))
    for frame in (borrowed, with_mac, arp(a.mac, "10.0.0.99", b.address)):
        assert not await arrives(a, b, frame)
    await wall.rules("a", rule())
    pairs = ({"ip_address": "10.0.0.99"}, {"ip_address": "10.0.0.96/30", "mac_address": virtual})
    await wall.change(a, allowed_address_pairs=pairs)
    await soon(lambda: arrives(a, b, borrowed))
    await soon(lambda: arrives(a, b, with_mac))
    await soon(lambda: arrives(a, b, arp(a.mac, "10.0.0.99", b.address)))
    await soon(lambda: arrives(b, a, for_virtual))  # what is for an address that it may have comes to it
    await wall.rules("a")
    await soon(lambda: arrives(b, a, for_virtual), is_so=False)


async def test_what_is_sent_to_all_passes_the_groups_of_each(wall: Wall) -> None:
    a, b = await pair(wall)
    c = await wall.guest("c", "out")
    open_one = await wall.guest("open", port_security_enabled=False)
    everybody = udp4(a.mac, BROADCAST, (a.address, "10.0.0.255"), (9, 5000))
    some = udp4(a.mac, "01:00:5e:01:02:03", (a.address, "239.1.2.3"), (9, 5000))
    nobody = udp4(a.mac, "fa:16:3e:99:99:99", (a.address, b.address), (9, 5000))
    for frame in (everybody, some):
        await soon(partial(arrives, a, open_one, frame))
        assert not await arrives(a, b, frame)
    await wall.rules("b", rule("ingress", UDP, 5000))
    for frame in (everybody, some):
        await soon(partial(arrives, a, b, frame))
        assert not await arrives(a, c, frame)
    await soon(lambda: sends(a, b, 5000, address="10.0.0.255", size=5000))  # in fragments
    assert not await sends(a, c, 5000, address="10.0.0.255", size=5000)
    await soon(lambda: arrives(a, open_one, nobody))  # it may bridge to somebody
    assert not await arrives(a, b, nobody)


async def test_a_port_that_is_switched_off_is_cut_and_comes_back(wall: Wall) -> None:
    a, b = await pair(wall)
    await wall.rules("b", rule())
    await soon(lambda: pings(a, b))
    await wall.change(b, admin_state_up=False)
    await soon(lambda: pings(a, b), is_so=False)
    assert not await arrives(a, b, arp(a.mac, a.address, b.address))
    await wall.change(b, admin_state_up=True)
    await soon(lambda: pings(a, b))


async def test_networks_keep_apart_and_the_hosts_own_ports_reach_guests(wall: Wall) -> None:
    a, b = await pair(wall)
    stranger = await wall.guest("stranger", "open", network=OTHER_NET)
    await wall.rules("open", *OUT, rule())
    await wall.rules("b", rule())
    await soon(lambda: pings(a, b))
    frame = udp4(stranger.mac, b.mac, (stranger.address, b.address), (9, 9))
    assert not await arrives(stranger, b, frame)
    assert not await arrives(stranger, b, arp(stranger.mac, stranger.address, b.address))
    own = await wall.service("dhcp")
    await soon(lambda: pings(own, a), within=3.0)
    await soon(lambda: connects(own, a, 80))  # whatever its groups say, and its answers pass
    await soon(lambda: sends(own, a, 5000, address="10.0.0.255"))
    await wall.change(a, security_groups=())
    await soon(lambda: pings(a, b), is_so=False)
    await soon(lambda: connects(own, a, 80))
    assert not await pings(stranger, own)


async def test_what_comes_from_another_host_is_filtered_the_same(wall: Wall) -> None:
    a, b = await pair(wall)
    away = await wall.uplink("away")
    vlan = await wall.vlan(a.network)
    await wall.rules("a", rule(prefix=f"{away.address}/32"))

    def packet(to: Guest, tag: int | None) -> bytes:
        return udp4(away.mac, to.mac, (away.address, to.address), (9, 9), vlan=tag)

    await soon(lambda: arrives(away, a, packet(a, vlan), as_frame=packet(a, None)), within=3.0)
    assert not await arrives(away, b, packet(b, vlan), as_frame=packet(b, None))
    for other in (None, vlan + 1):
        assert not await arrives(away, a, packet(a, other), as_frame=packet(a, None)), "it is of another network"
    everybody = udp4(away.mac, BROADCAST, (away.address, "10.0.0.255"), (9, 9), vlan=vlan)
    untagged = udp4(away.mac, BROADCAST, (away.address, "10.0.0.255"), (9, 9))
    await soon(lambda: arrives(away, a, everybody, as_frame=untagged))
    assert not await arrives(away, b, everybody, as_frame=untagged)

    there = udp4(a.mac, away.mac, (a.address, away.address), (9, 9))
    assert await tag_at(a, away, there) == vlan
    assert await tag_at(a, away, arp(a.mac, a.address, away.address)) == vlan
    assert await tag_at(a, away, udp4(a.mac, away.mac, (b.address, away.address), (9, 9))) is None
    assert await tag_at(a, away, udp4(a.mac, b.mac, (a.address, b.address), (9, 9))) is None, "it stays here"


async def test_a_running_ping_and_a_connection_lose_nothing_when_the_agent_is_restarted(wall: Wall) -> None:
    a, b = await pair(wall)
    c = await wall.guest("c", "out")
    await wall.rules("b", rule("ingress", TCP, 80, group="a"), rule("ingress", ICMP))
    await soon(lambda: pings(a, b))
    async with connection(a, b, 80) as held:
        lost, count, asking = 0, 0, True

        async def keep_asking() -> None:
            nonlocal lost, count
            while asking:
                lost += not await pings(a, b, within=1.0)
                count += 1

        async with asyncio.TaskGroup() as group:
            group.create_task(keep_asking())
            flows = wall.rig.shared()
            await wall.stop_agent()
            await asyncio.sleep(0.2)
            await wall.start_agent()
            await wall.all_up()
            await asyncio.sleep(0.2)
            asking = False
        assert (lost, count > 20) == (0, True)
        assert await held.carries()
        assert await held.carries(back=True)
        assert sorted(wall.rig.shared()) == sorted(flows)
        assert min(wall.rig.age(guest.port) for guest in (a, b, c)) > 0.4, "no flow was sent again"


async def test_a_guest_with_too_many_connections_has_no_more_and_takes_nobody_elses(wall: Wall) -> None:
    a, b = await pair(wall)
    other, third = await wall.guest("c", "out", "b"), await wall.guest("d", "out")
    await wall.rules("b", rule("ingress", UDP, 1, 9999, group="a"), rule("ingress", TCP, 80))
    await soon(lambda: sends(a, b, 80))
    await connects_to_many(a, b)
    assert connections_of(wall, a) == wall.connections
    assert not await connects(a, other, 80), "it has no room for what is to come back"
    assert connections_of(wall, b) == wall.connections
    await soon(lambda: connects(third, other, 80))
    wall.rig.stop_switch()
    wall.rig.start_switch()
    await soon(lambda: connects(a, other, 80), within=5.0)
    await connects_to_many(a, b)
    assert connections_of(wall, a) == wall.connections, "the switch's next life knows the limit too"


async def connects_to_many(one: Guest, other: Guest) -> None:
    """UDP to more ports than a guest may have connections."""
    with one.open(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        for port in range(1000, 1300):
            await asyncio.get_running_loop().sock_sendto(sending, b"moorage!", (other.address, port))
            await asyncio.sleep(0.001)  # what a veth can hold
    await asyncio.sleep(0.2)


def connections_of(wall: Wall, guest: Guest) -> int:
    """As the switch counts them."""
    database = f"unix:{wall.rig.rundir}/db.sock"
    zone = wall.rig.inside("ovs-vsctl", f"--db={database}", "get", "Interface", device_name(guest.port), "ofport")
    control = str(wall.rig.rundir / "ovs-vswitchd.ctl")
    told = wall.rig.inside("ovs-appctl", "-t", control, "dpctl/ct-get-limits", f"zone={zone.strip()}")
    return int(told.strip().rpartition("count=")[2])


async def test_a_vlan_is_given_back_when_no_flow_bears_it(wall: Wall) -> None:
    await pair(wall)
    last = await wall.guest("c", "out", "b", network=OTHER_NET)
    vlan = await wall.vlan(OTHER_NET)
    assert flows_with(wall, vlan)
    await wall.plugging.unplug(last.port)

    async def is_given_back() -> bool:
        return OTHER_NET not in wall.vlans.numbers

    await soon(is_given_back)
    assert flows_with(wall, vlan) == []
    assert wall.rig.flows(last.port) == []


def flows_with(wall: Wall, vlan: int) -> list[str]:
    """Those that ports share."""
    return [flow for flow in wall.rig.shared() if re.search(rf"reg6=0x{vlan:x}\b", flow)]


async def test_all_is_as_it_was_after_a_restart_of_the_switch(wall: Wall) -> None:
    a, b = await pair(wall)
    await wall.rules("b", rule("ingress", TCP, 80, group="a"))
    await soon(lambda: connects(a, b, 80))
    wall.rig.stop_switch()
    wall.rig.start_switch()
    await soon(lambda: connects(a, b, 80), within=5.0)
    assert not await pings(a, b)
