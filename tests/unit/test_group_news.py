"""What the network tells agents of security groups: whom it tells, and what it answers."""

from typing import Any

import pytest
from tests.unit.network_rig import Rig, make_rig

from moorage.wire.messages import Groups, GroupsChanged, GroupsWanted


async def two_hosts(rig: Rig) -> tuple[Any, Any, Any]:
    """A network and two groups: one of a port on h1, and one of a port on h2 that a rule of the first names."""
    network, _ = await rig.network()
    await rig.agent("h1")
    await rig.agent("h2")
    web, db = [await rig.make("security_group", name=name) for name in ("web", "db")]
    for host, group in (("h1", web), ("h2", db)):
        port = await rig.bound_port(network, host)
        await rig.ask("PUT", f"/v2.0/ports/{port['id']}", {"port": {"security_groups": [group["id"]]}}, by="nova")
    await rule(rig, web, remote_group_id=db["id"])
    rig.bus.casts.clear()
    return network, web, db


async def rule(rig: Rig, group: Any, **fields: Any) -> Any:
    return await rig.make("security_group_rule", security_group_id=group["id"], direction="ingress", **fields)


def told(rig: Rig) -> dict[str, set[str]]:
    """The groups that each host was told of."""
    found: dict[str, set[str]] = {}
    for queue, message in rig.bus.casts:
        if isinstance(message, GroupsChanged):
            found.setdefault(queue, set()).update(message.groups)
    rig.bus.casts.clear()
    return found


async def wanted(rig: Rig, *groups: Any, known: dict[str, str] | None = None) -> Groups:
    message = GroupsWanted(host="h1", groups=tuple(group["id"] for group in groups), known=known or {})
    answer = await rig.service.agents.handle(message)
    assert isinstance(answer, Groups)
    return answer


async def test_rules_are_told_to_the_hosts_of_the_groups_ports() -> None:
    rig = make_rig()
    _, web, db = await two_hosts(rig)
    made = await rule(rig, web, protocol="tcp", port_range_min=80, port_range_max=80)
    assert told(rig) == {"agent.h1": {web["id"]}}
    await rig.ask("DELETE", f"/v2.0/security-group-rules/{made['id']}")
    assert told(rig) == {"agent.h1": {web["id"]}}
    unused = await rig.make("security_group", name="unused")
    await rule(rig, unused)
    assert told(rig) == {}
    await rule(rig, db)
    assert told(rig) == {"agent.h1": {db["id"]}, "agent.h2": {db["id"]}}


async def test_members_are_told_to_the_hosts_whose_rules_name_them_too() -> None:
    rig = make_rig()
    network, _, db = await two_hosts(rig)
    both = {"agent.h1": {db["id"]}, "agent.h2": {db["id"]}}
    port = await rig.make("port", network_id=network["id"], security_groups=[db["id"]])
    assert told(rig) == both
    pairs: dict[str, object] = {"port": {"allowed_address_pairs": [{"ip_address": "10.9.0.0/24"}]}}
    await rig.ask("PUT", f"/v2.0/ports/{port['id']}", pairs)
    assert told(rig) == both
    await rig.ask("PUT", f"/v2.0/ports/{port['id']}", {"port": {"name": "x", "admin_state_up": False}})
    assert told(rig) == {}, "it is a member as it was"
    await rig.ask("DELETE", f"/v2.0/ports/{port['id']}")
    assert told(rig) == both


async def test_a_group_that_goes_takes_rules_of_others_with_it_and_they_are_told() -> None:
    rig = make_rig()
    _, web, _ = await two_hosts(rig)
    named = await rig.make("security_group", name="named")
    await rule(rig, web, remote_group_id=named["id"])
    told(rig)
    assert (await rig.ask("DELETE", f"/v2.0/security-groups/{named['id']}")).status == 204
    assert told(rig) == {"agent.h1": {named["id"]}}


async def test_an_agent_that_cannot_be_told_of_groups_is_no_error() -> None:
    rig = make_rig()
    _, web, _ = await two_hosts(rig)
    rig.bus.is_full = True
    await rule(rig, web)


async def test_groups_are_answered_with_those_that_their_rules_name() -> None:
    rig = make_rig()
    _, web, db = await two_hosts(rig)
    await rule(rig, web, protocol="icmp", port_range_min=8, port_range_max=0, ethertype="IPv4")
    await rule(rig, web, protocol="ICMP", ethertype="IPv6", remote_ip_prefix="fe80::/10")
    await rule(rig, web, protocol="vrrp")
    await rule(rig, web, protocol="47")
    answer = await wanted(rig, web)
    assert answer.ids == (web["id"], db["id"])
    own, remote = answer.changed
    protocols = [(one.protocol, one.first, one.last) for one in own.rules if one.protocol is not None]
    assert protocols == [(1, 8, 0), (58, None, None), (112, None, None), (47, None, None)]
    assert [one.remote_group for one in own.rules if one.remote_group] == [db["id"]]
    assert [one.remote_prefix for one in own.rules if one.remote_prefix] == ["fe80::/10"]
    assert own.members == (), "nobody asks who is in it"
    assert [address for _, address in remote.members] == ["10.0.0.3"]


async def test_what_an_agent_has_is_not_told_again() -> None:
    rig = make_rig()
    network, web, db = await two_hosts(rig)
    known = {spec.id: spec.digest for spec in (await wanted(rig, web)).changed}
    answer = await wanted(rig, web, known=known)
    assert (answer.ids, answer.changed) == ((web["id"], db["id"]), ())
    await rig.make("port", network_id=network["id"], security_groups=[db["id"]])
    assert [spec.id for spec in (await wanted(rig, web, known=known)).changed] == [db["id"]]
    await rule(rig, web)
    assert {spec.id for spec in (await wanted(rig, web, known=known)).changed} == {web["id"], db["id"]}
    assert (await wanted(rig, {"id": "never made"}, known=known)).ids == ()


@pytest.mark.parametrize("protocol", [None, "any", "0"])
async def test_any_protocol_is_all_of_them(protocol: str | None) -> None:
    rig = make_rig()
    _, web, _ = await two_hosts(rig)
    await rule(rig, web, protocol=protocol, remote_ip_prefix="10.0.0.0/8")
    [spec] = [spec for spec in (await wanted(rig, web)).changed if spec.id == web["id"]]
    [made] = [one for one in spec.rules if one.remote_prefix]
    assert made.protocol is None
