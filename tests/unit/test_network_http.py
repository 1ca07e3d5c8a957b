"""The Network API through its front door, in this process."""

import asyncio
from dataclasses import replace

import pytest
from tests.asgi import Answer
from tests.unit.network_rig import CALLERS, DEMO, OTHER, SERVER, make_rig

from moorage.domain.errors import Exhausted
from moorage.domain.events import Judgement, Verdict
from moorage.domain.hops import Hop
from moorage.network.http.fixed import EXTENSIONS
from moorage.wire.messages import GroupsChanged, PortsChanged
from moorage.wire.network import PortNew

pytestmark = pytest.mark.looptime


def kind_of(answer: Answer) -> str:
    return str(answer.json["NeutronError"]["type"])


def text_of(answer: Answer) -> str:
    return str(answer.json["NeutronError"]["message"])


async def test_versions_need_no_token_and_name_where_they_were_asked() -> None:
    rig = make_rig()
    root = await rig.ask("GET", "/", by="")
    assert root.status == 200
    assert root.json["versions"][0]["links"][0]["href"] == "http://cloud.example:8780/network/v2.0/"
    for path in ("/v2.0", "/v2.0/"):
        resources = (await rig.ask("GET", path, by="")).json["resources"]
        assert {"network", "subnet", "port"} <= {one["name"] for one in resources}


async def test_a_request_without_a_token_is_told_where_to_get_one() -> None:
    rig = make_rig()
    for token in ("", "stolen"):
        answer = await rig.ask("GET", "/v2.0/networks", by=token)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Keystone uri="http://cloud.example:8780/identity"'


async def test_a_member_makes_a_port_with_the_lowest_address_and_the_default_group() -> None:
    rig = make_rig()
    network, subnet = await rig.network()
    port = await rig.make("port", network_id=network["id"], name="web")
    assert port["fixed_ips"] == [{"subnet_id": subnet["id"], "ip_address": "10.0.0.2"}]
    assert port["status"] == "DOWN"
    assert port["mac_address"].startswith("fa:16:3e:")
    assert port["project_id"] == port["tenant_id"] == DEMO
    assert port["binding:vnic_type"] == "normal"
    assert "binding:host_id" not in port
    groups = (await rig.ask("GET", "/v2.0/security-groups?name=default")).json["security_groups"]
    assert port["security_groups"] == [group["id"] for group in groups]


async def test_the_default_group_is_made_once_with_its_four_rules() -> None:
    rig = make_rig()
    await rig.ask("GET", "/v2.0/security-groups")
    [group] = (await rig.ask("GET", "/v2.0/security-groups")).json["security_groups"]
    rules = [(rule["direction"], rule["ethertype"], rule["remote_group_id"]) for rule in group["security_group_rules"]]
    assert sorted(rules, key=str) == [
        ("egress", "IPv4", None),
        ("egress", "IPv6", None),
        ("ingress", "IPv4", group["id"]),
        ("ingress", "IPv6", group["id"]),
    ]
    again = await rig.ask("POST", "/v2.0/security-groups", {"security_group": {"name": "default"}})
    assert again.status == 409
    renamed = await rig.ask("PUT", f"/v2.0/security-groups/{group['id']}", {"security_group": {"name": "x"}})
    assert renamed.status == 409
    assert (await rig.ask("DELETE", f"/v2.0/security-groups/{group['id']}")).status == 409


async def test_an_admin_sets_quotas_and_they_hold() -> None:
    rig = make_rig()
    path = f"/v2.0/quotas/{DEMO}"
    limits = {"quota": {"security_group": 2, "security_group_rule": "9", "router": 3, "tenant_id": DEMO}}
    assert (await rig.ask("PUT", path, limits)).status == 403
    changed = await rig.ask("PUT", path, limits, by="admin")
    for quota in (changed.json["quota"], (await rig.ask("GET", path)).json["quota"]):
        told = (quota["security_group"], quota["security_group_rule"], quota["router"], quota["port"])
        assert told == (2, 9, 3, -1)
    [listed] = (await rig.ask("GET", "/v2.0/quotas", by="admin")).json["quotas"]
    assert (listed["project_id"], listed["security_group"]) == (DEMO, 2)
    assert (await rig.ask("GET", f"{path}/default")).json["quota"]["security_group"] == -1
    group = await rig.make("security_group", name="web")  # beside the default group
    refused = await rig.ask("POST", "/v2.0/security-groups", {"security_group": {"name": "one too many"}})
    assert (refused.status, refused.json["NeutronError"]["type"]) == (409, "OverQuota")
    rule = {"security_group_id": group["id"], "direction": "ingress", "protocol": "tcp"}
    statuses = [
        (await rig.ask("POST", "/v2.0/security-group-rules", {"security_group_rule": {**rule, **ports}})).status
        for ports in ({"port_range_min": number, "port_range_max": number} for number in range(1, 6))
    ]
    assert statuses == [201, 201, 201, 409, 409]  # each group had some
    details = (await rig.ask("GET", f"{path}/details")).json["quota"]
    assert details["security_group"] == {"limit": 2, "used": 2, "reserved": 0}
    for wrong in ({"port": -2}, {"port": "x"}, {"apples": 1}):
        assert (await rig.ask("PUT", path, {"quota": wrong}, by="admin")).status == 400
    assert (await rig.ask("DELETE", path)).status == 403
    assert (await rig.ask("DELETE", path, by="admin")).status == 204
    await rig.make("security_group", name="one more")


async def test_groups_may_be_made_together_each_in_its_envelope_or_not() -> None:
    rig = make_rig()
    many = {"security_groups": [{"name": "a"}, {"security_group": {"name": "b"}}]}
    made = (await rig.ask("POST", "/v2.0/security-groups", many)).json["security_groups"]
    assert [group["name"] for group in made] == ["a", "b"]
    bad = {"security_groups": [{"security_group": {"apples": 1}}]}
    assert (await rig.ask("POST", "/v2.0/security-groups", bad)).status == 400


@pytest.mark.parametrize("protocol", ["icmpv6", "ipv6-icmp", "58", "IPv6-Frag", "44", "43"])
async def test_a_rule_of_ipv4_has_no_protocol_of_ipv6(protocol: str) -> None:
    rig = make_rig()
    group = await rig.make("security_group", name="web")
    rule = {"security_group_id": group["id"], "direction": "ingress", "protocol": protocol}
    refused = await rig.ask(
        "POST", "/v2.0/security-group-rules", {"security_group_rule": {**rule, "ethertype": "IPv4"}}
    )
    assert (refused.status, refused.json["NeutronError"]["type"]) == (400, "SecurityGroupEthertypeConflictWithProtocol")
    await rig.make("security_group_rule", **rule, ethertype="IPv6")


async def test_a_port_has_a_group_once() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    group = await rig.make("security_group", name="web")
    port = await rig.make("port", network_id=network["id"])
    twice = {"port": {"security_groups": [group["id"]] * 2}}
    assert (await rig.ask("PUT", f"/v2.0/ports/{port['id']}", twice)).status == 400


async def test_a_network_with_subnets_carries_ipv4() -> None:
    rig = make_rig()
    small = await rig.make("network", name="small", mtu=67)
    subnet = {"subnet": {"network_id": small["id"], "ip_version": 4, "cidr": "10.0.0.0/24"}}
    assert (await rig.ask("POST", "/v2.0/subnets", subnet)).status == 409
    network, _ = await rig.network()
    assert (await rig.ask("PUT", f"/v2.0/networks/{network['id']}", {"network": {"mtu": 67}})).status == 409
    assert (await rig.ask("PUT", f"/v2.0/networks/{network['id']}", {"network": {"mtu": 68}})).status == 200


async def test_pages_can_be_followed_both_ways() -> None:
    rig = make_rig()
    for name in "abc":
        await rig.make("network", name=name)
    names, path = [], "/v2.0/networks?limit=2&sort_key=name&page_reverse=True"
    while path:
        body = (await rig.ask("GET", path)).json
        names.append([network["name"] for network in body["networks"]])
        before = [link["href"] for link in body["networks_links"] if link["rel"] == "previous"]
        path = before[0].partition("/network")[2] if before else ""
    assert names == [["b", "c"], ["a"]]
    last = (await rig.ask("GET", "/v2.0/networks?limit=3&sort_key=name")).json["networks_links"][0]["href"]
    empty = (await rig.ask("GET", last.partition("/network")[2])).json
    [link] = empty["networks_links"]
    assert (empty["networks"], link["rel"]) == ([], "previous")
    back = (await rig.ask("GET", link["href"].partition("/network")[2])).json
    assert [network["name"] for network in back["networks"]] == ["a", "b", "c"]


async def test_every_group_is_stateful_and_one_that_shall_not_be_is_refused() -> None:
    rig = make_rig()
    group = await rig.make("security_group", name="web", stateful=True)
    assert group["stateful"] is True
    change = {"security_group": {"name": "changed", "stateful": False}}
    many = {"security_groups": [{"name": "good"}, {"name": "bad", "stateful": False}]}
    for method, path, body in [
        ("PUT", f"/v2.0/security-groups/{group['id']}", change),
        ("POST", "/v2.0/security-groups", {"security_group": {"name": "bad", "stateful": False}}),
        ("POST", "/v2.0/security-groups", many),
    ]:
        answer = await rig.ask(method, path, body)
        assert answer.status == 400
        assert "Stateless security groups are not supported" in answer.json["NeutronError"]["message"]
    kept = (await rig.ask("GET", "/v2.0/security-groups")).json["security_groups"]
    assert {found["name"] for found in kept} == {"default", "web"}
    change["security_group"]["stateful"] = True
    assert (await rig.ask("PUT", f"/v2.0/security-groups/{group['id']}", change)).json["security_group"][
        "name"
    ] == "changed"
    extensions = (await rig.ask("GET", "/v2.0/extensions")).json["extensions"]
    assert "stateful-security-group" not in {extension["alias"] for extension in extensions}


async def test_a_group_that_a_port_uses_cannot_be_deleted() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    group = await rig.make("security_group", name="web")
    assert len(group["security_group_rules"]) == 2
    port = await rig.make("port", network_id=network["id"], security_groups=[group["id"]])
    answer = await rig.ask("DELETE", f"/v2.0/security-groups/{group['id']}")
    assert (answer.status, kind_of(answer)) == (409, "SecurityGroupInUse")
    await rig.ask("PUT", f"/v2.0/ports/{port['id']}", {"port": {"security_groups": []}})
    assert (await rig.show("port", port["id"]))["security_groups"] == []
    assert (await rig.ask("DELETE", f"/v2.0/security-groups/{group['id']}")).status == 204


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({"protocol": "tcp", "port_range_min": 70000, "port_range_max": 70000}, 400, "Invalid value for port 70000"),
        (
            {"protocol": "tcp", "port_range_min": 9, "port_range_max": 8},
            400,
            "port_range_min must be <= port_range_max",
        ),
        ({"protocol": "icmp", "port_range_min": 300}, 400, "Invalid value for ICMP type"),
        ({"protocol": "icmp", "port_range_min": 1, "port_range_max": 300}, 400, "Invalid value for ICMP code"),
        ({"protocol": "icmp", "port_range_max": 3}, 400, "ICMP type (port-range-min) is missing"),
        ({"protocol": "bad"}, 400, "not supported"),
        ({"remote_ip_prefix": "bad"}, 400, "CIDR"),
        ({"remote_ip_prefix": "2001:db8::/32"}, 400, "Conflicting value ethertype"),
        ({"ethertype": "IPv5"}, 400, "ethertype"),
        ({"remote_group_id": "not-a-uuid"}, 404, "does not exist"),
    ],
)
async def test_a_rule_that_means_nothing_is_refused(fields: dict[str, object], status: int, text: str) -> None:
    rig = make_rig()
    group = await rig.make("security_group", name="web")
    body = {"security_group_rule": {"security_group_id": group["id"], "direction": "ingress", **fields}}
    answer = await rig.ask("POST", "/v2.0/security-group-rules", body)
    assert answer.status == status
    assert text in text_of(answer)


async def test_a_rule_raises_its_groups_revision_and_cannot_be_made_twice() -> None:
    rig = make_rig()
    group = await rig.make("security_group", name="web")
    rule = {"security_group_id": group["id"], "direction": "ingress", "protocol": 6, "remote_ip_prefix": "10.1.2.3/8"}
    made = await rig.make("security_group_rule", **rule)
    assert (made["protocol"], made["remote_ip_prefix"], made["normalized_cidr"]) == ("6", "10.0.0.0/8", "10.0.0.0/8")
    again = await rig.ask("POST", "/v2.0/security-group-rules", {"security_group_rule": rule})
    assert (again.status, kind_of(again)) == (409, "SecurityGroupRuleExists")
    shown = await rig.show("security_group", group["id"])
    assert shown["revision_number"] == group["revision_number"] + 1
    assert (await rig.ask("DELETE", f"/v2.0/security-group-rules/{made['id']}")).status == 204
    assert (await rig.ask("DELETE", f"/v2.0/security-group-rules/{made['id']}")).status == 404


@pytest.mark.parametrize(
    ("fields", "status", "kind"),
    [
        ({"fixed_ips": [{"ip_address": "10.0.0.9"}]}, 409, "IpAddressAlreadyAllocated"),
        ({"fixed_ips": [{"ip_address": "10.9.0.9"}]}, 400, "InvalidIpForNetwork"),
        ({"fixed_ips": [{"ip_address": "10.0.0.255"}]}, 400, "InvalidIpForSubnet"),
        ({"mac_address": "fa:16:3e:aa:aa:aa"}, 409, "MacAddressInUse"),
        ({"mac_address": "nonsense"}, 400, "InvalidInput"),
        ({"network_id": "00000000-0000-0000-0000-0000000000ff"}, 404, "NetworkNotFound"),
        ({"security_groups": ["nowhere"]}, 404, "SecurityGroupNotFound"),
        ({"binding:host_id": "h1"}, 403, "PolicyNotAuthorized"),
        ({"device_owner": "network:dhcp"}, 403, "PolicyNotAuthorized"),
        ({"project_id": OTHER}, 403, "PolicyNotAuthorized"),
        ({"nonsense": 1}, 400, "HTTPBadRequest"),
        ({"admin_state_up": "perhaps"}, 400, "HTTPBadRequest"),
        ({"allowed_address_pairs": [{"ip_address": "nonsense"}]}, 400, "InvalidInput"),
        ({"allowed_address_pairs": [{"mac_address": "fa:16:3e:00:00:01"}]}, 400, "HTTPBadRequest"),
        ({"allowed_address_pairs": [{"ip_address": "10.0.0.9", "mac_address": "x"}]}, 400, "InvalidInput"),
        ({"allowed_address_pairs": [{"ip_address": f"10.0.1.{n}"} for n in range(11)]}, 400, "HTTPBadRequest"),
        ({"extra_dhcp_opts": [{"nonsense": "x"}]}, 400, "HTTPBadRequest"),
    ],
)
async def test_a_port_that_cannot_be_is_refused_by_name(fields: dict[str, object], status: int, kind: str) -> None:
    rig = make_rig()
    network, _ = await rig.network()
    taken = [{"ip_address": "10.0.0.9"}]
    await rig.make("port", network_id=network["id"], fixed_ips=taken, mac_address="fa:16:3e:aa:aa:aa")
    answer = await rig.ask("POST", "/v2.0/ports", {"port": {"network_id": network["id"], **fields}})
    assert (answer.status, kind_of(answer)) == (status, kind)


async def test_address_pairs_and_dhcp_options_are_kept_in_their_canonical_form() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    pairs = [{"ip_address": "10.0.0.77/24"}, {"ip_address": "10.0.9.9", "mac_address": "FA:16:3E:00:00:01"}]
    options = [{"opt_name": "mtu", "opt_value": "1400"}]
    port = await rig.make("port", network_id=network["id"], allowed_address_pairs=pairs, extra_dhcp_opts=options)
    assert port["allowed_address_pairs"] == [
        {"ip_address": "10.0.0.0/24"},
        {"ip_address": "10.0.9.9", "mac_address": "fa:16:3e:00:00:01"},
    ]
    assert port["extra_dhcp_opts"] == [{"opt_name": "mtu", "opt_value": "1400", "ip_version": 4}]


async def test_a_subnet_of_all_addresses_is_refused() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    body = {"network_id": network["id"], "ip_version": 4, "cidr": "0.0.0.0/0"}
    answer = await rig.ask("POST", "/v2.0/subnets", {"subnet": body})
    assert answer.status == 400
    assert "0 is not allowed as CIDR prefix length" in text_of(answer)


async def test_a_filter_that_is_no_boolean_is_refused() -> None:
    rig = make_rig()
    await rig.network()
    assert (await rig.ask("GET", "/v2.0/networks?admin_state_up=True")).json["networks"]
    assert (await rig.ask("GET", "/v2.0/networks?admin_state_up=off")).json["networks"] == []
    assert (await rig.ask("GET", "/v2.0/networks?admin_state_up=perhaps")).status == 400


async def test_an_unknown_attribute_of_one_among_many_is_named() -> None:
    rig = make_rig()
    answer = await rig.ask("POST", "/v2.0/networks", {"networks": [{"name": "a"}, {"surprise": 1}]})
    assert (answer.status, text_of(answer)) == (400, "Unrecognized attribute(s) 'surprise'")


async def test_an_unknown_attribute_is_named() -> None:
    rig = make_rig()
    answer = await rig.ask("POST", "/v2.0/networks", {"network": {"name": "n", "colour": "red"}})
    assert answer.status == 400
    assert "Unrecognized attribute(s) 'colour'" in text_of(answer)


async def test_a_pool_without_addresses_left_is_exhausted_by_name() -> None:
    rig = make_rig()
    network, _ = await rig.network("10.0.0.0/30")
    await rig.make("port", network_id=network["id"])
    answer = await rig.ask("POST", "/v2.0/ports", {"port": {"network_id": network["id"]}})
    assert (answer.status, kind_of(answer)) == (409, "IpAddressGenerationFailure")


async def test_many_ports_are_made_all_or_none() -> None:
    rig = make_rig()
    network, _ = await rig.network("10.0.0.0/29")
    made = await rig.ask("POST", "/v2.0/ports", {"ports": [{"network_id": network["id"]}] * 3})
    assert made.status == 201
    assert [port["fixed_ips"][0]["ip_address"] for port in made.json["ports"]] == ["10.0.0.2", "10.0.0.3", "10.0.0.4"]
    answer = await rig.ask("POST", "/v2.0/ports", {"ports": [{"network_id": network["id"]}] * 3})
    assert answer.status == 409
    assert len((await rig.ask("GET", "/v2.0/ports")).json["ports"]) == 3


async def test_compute_makes_and_binds_a_port_in_one_request() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    await rig.agent("h1", has_dhcp=True)
    port = await rig.bound_port(network)
    assert port["binding:vif_type"] == "ovs"
    assert port["binding:host_id"] == "h1"
    assert port["binding:vif_details"]["bridge_name"] == "br-int"
    assert port["binding:profile"] == {"plug_generation": "g1", "nic": 0}
    assert port["project_id"] == DEMO
    [group] = port["security_groups"]
    assert rig.bus.casts == [
        ("agent.h1", PortsChanged(ports=(port["id"],), networks=(network["id"],))),
        ("agent.h1", GroupsChanged(groups=(group,))),  # it has a member more
    ]
    [fact] = rig.facts.told
    assert (fact.what, fact.server, fact.port, fact.generation) == (Hop.BOUND, SERVER, port["id"], "g1")


async def test_a_port_bound_where_no_agent_lives_has_failed_and_says_so() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    await rig.agent("h1")
    await asyncio.sleep(10.5)
    port = await rig.bound_port(network)
    assert (port["binding:vif_type"], port["binding:host_id"], port["status"]) == ("binding_failed", "h1", "DOWN")
    await rig.agent("h1")
    again = {"port": {"binding:host_id": "h1"}}
    answer = await rig.ask("PUT", f"/v2.0/ports/{port['id']}", again, by="nova")
    assert answer.json["port"]["binding:vif_type"] == "ovs"


async def test_the_same_binding_again_changes_nothing() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    await rig.agent("h1")
    port = await rig.bound_port(network)
    await rig.report_up(port["id"], 1)
    before = await rig.show("port", port["id"])
    assert before["status"] == "ACTIVE"
    body = {"port": {"binding:host_id": "h1", "binding:profile": {"plug_generation": "g1", "nic": 0}}}
    assert (await rig.ask("PUT", f"/v2.0/ports/{port['id']}", body, by="nova")).json["port"] == before


async def test_a_new_generation_binds_again_and_old_reports_count_no_more() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    await rig.agent("h1")
    port = await rig.bound_port(network)
    await rig.report_up(port["id"], 1)
    body = {"port": {"binding:profile": {"plug_generation": "g2"}}}
    answer = await rig.ask("PUT", f"/v2.0/ports/{port['id']}", body, by="nova")
    assert answer.json["port"]["status"] == "DOWN"
    await rig.report_up(port["id"], 2)
    assert (await rig.show("port", port["id"]))["status"] == "DOWN"
    await rig.report_up(port["id"], 3, generation="g2")
    assert (await rig.show("port", port["id"]))["status"] == "ACTIVE"


async def test_a_port_with_dhcp_waits_for_both() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    await rig.agent("h1", has_dhcp=True)
    port = await rig.bound_port(network)
    details = await rig.ask_details(port["id"], 1)
    assert details.ports[0].is_bound_here
    assert details.ports[0].addresses == ("10.0.0.3",)
    assert (await rig.show("port", port["id"]))["status"] == "BUILD"
    await rig.report_up(port["id"], 2)
    assert (await rig.show("port", port["id"]))["status"] == "BUILD"
    await rig.dhcp_ready(port["id"])
    assert (await rig.show("port", port["id"]))["status"] == "ACTIVE"
    assert [fact.what for fact in rig.facts.told] == ["bound", "dhcp_ready", "ready"]


async def test_admins_see_the_news_that_was_given_up() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    await rig.agent("h1")
    for port in [await rig.bound_port(network) for _ in range(2)]:
        await rig.report_up(port["id"], 1)
        [item] = await rig.store.take(rig.service.clock.now(), 1)
        await rig.store.settle([Judgement(Verdict.DEAD, item, "nobody home")], rig.service.clock.now())
    path = "/moorage/dead-events"
    answer = await rig.ask("GET", path, by="admin")
    assert answer.status == 200
    last, first = answer.json["dead_events"]
    assert last == {
        "name": "network-vif-plugged",
        "status": "completed",
        "server_id": SERVER,
        "port_id": port["id"],
        "plug_generation": "g1",
        "made_at": last["died_at"],
        "died_at": last["died_at"],
        "tries": 0,
        "reason": "nobody home",
    }
    assert (await rig.ask("GET", f"{path}?limit=1", by="admin")).json["dead_events"] == [last]
    assert first["port_id"] != last["port_id"]
    assert (await rig.ask("GET", f"{path}?limit=x", by="admin")).status == 400
    assert (await rig.ask("GET", path, by="nova")).status == 403
    assert (await rig.ask("GET", path, by="demo")).status == 403
    assert (await rig.ask("GET", path, by="stranger")).status == 401


async def test_detaching_unbinds_and_tells_the_host_that_was() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    await rig.agent("h1")
    port = await rig.bound_port(network)
    body: object = {"port": {"device_id": "", "device_owner": "", "binding:host_id": None, "binding:profile": {}}}
    shown = (await rig.ask("PUT", f"/v2.0/ports/{port['id']}", body, by="nova")).json["port"]
    assert (shown["binding:vif_type"], shown["binding:host_id"], shown["status"]) == ("unbound", "", "DOWN")
    told = [message for queue, message in rig.bus.casts if queue == "agent.h1"]
    assert [type(message) for message in told] == [PortsChanged, GroupsChanged, PortsChanged]


async def test_an_agent_that_cannot_be_told_is_no_error() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    await rig.agent("h1")
    rig.bus.is_full = True
    assert (await rig.bound_port(network))["binding:vif_type"] == "ovs"


async def test_the_mac_of_a_bound_port_stays() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    await rig.agent("h1")
    port = await rig.bound_port(network)
    body = {"port": {"mac_address": "fa:16:3e:99:99:99"}}
    answer = await rig.ask("PUT", f"/v2.0/ports/{port['id']}", body, by="nova")
    assert (answer.status, kind_of(answer)) == (409, "PortBound")


async def test_a_stale_revision_is_refused() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    port = await rig.make("port", network_id=network["id"])
    path, body = f"/v2.0/ports/{port['id']}", {"port": {"name": "new"}}
    fresh = {"If-Match": f"revision_number={port['revision_number']}"}
    assert (await rig.ask("PUT", path, body, headers=fresh)).json["port"]["revision_number"] == 2
    stale = await rig.ask("PUT", path, {"port": {"name": "newer"}}, headers=fresh)
    assert (stale.status, kind_of(stale)) == (412, "RevisionNumberConstraintFailed")
    assert (await rig.ask("DELETE", path, headers=fresh)).status == 412
    assert (await rig.ask("DELETE", path, headers={"If-Match": "revision_number=2"})).status == 204


async def test_changing_addresses_frees_the_old_and_keeps_its_own() -> None:
    rig = make_rig()
    network, subnet = await rig.network()
    port = await rig.make("port", network_id=network["id"])
    wanted = [{"subnet_id": subnet["id"], "ip_address": "10.0.0.2"}, {"ip_address": "10.0.0.7"}]
    path = f"/v2.0/ports/{port['id']}"
    shown = (await rig.ask("PUT", path, {"port": {"fixed_ips": wanted}})).json["port"]
    assert [ip["ip_address"] for ip in shown["fixed_ips"]] == ["10.0.0.2", "10.0.0.7"]
    await rig.ask("PUT", path, {"port": {"fixed_ips": [{"ip_address": "10.0.0.7"}]}})
    assert (await rig.make("port", network_id=network["id"]))["fixed_ips"][0]["ip_address"] == "10.0.0.2"


async def test_overlapping_subnets_are_refused_in_neutrons_words() -> None:
    rig = make_rig()
    network, _ = await rig.network("10.0.0.0/24")
    body = {"subnet": {"network_id": network["id"], "cidr": "10.0.0.128/25", "ip_version": 4}}
    answer = await rig.ask("POST", "/v2.0/subnets", body)
    assert answer.status == 400
    assert "overlaps with another subnet" in text_of(answer)
    assert len((await rig.show("network", network["id"]))["subnets"]) == 1


async def test_subnets_come_normalised_with_gateway_and_pools() -> None:
    rig = make_rig()
    network, _ = await rig.network("10.0.0.0/24")
    subnet = await rig.make("subnet", network_id=network["id"], cidr="10.1.0.77/28", ip_version=4)
    assert (subnet["cidr"], subnet["gateway_ip"]) == ("10.1.0.64/28", "10.1.0.65")
    assert subnet["allocation_pools"] == [{"start": "10.1.0.66", "end": "10.1.0.78"}]
    bare = await rig.make("subnet", network_id=network["id"], cidr="10.2.0.0/28", gateway_ip=None)
    assert bare["gateway_ip"] is None
    outside = {"network_id": network["id"], "cidr": "10.3.0.0/28", "gateway_ip": "10.4.0.1"}
    assert (await rig.ask("POST", "/v2.0/subnets", {"subnet": outside})).status == 400
    over = {
        "network_id": network["id"],
        "cidr": "10.3.0.0/28",
        "allocation_pools": [{"start": "10.3.0.1", "end": "10.3.0.5"}],
    }
    assert (await rig.ask("POST", "/v2.0/subnets", {"subnet": over})).status == 409
    assert (await rig.show("network", network["id"]))["revision_number"] == 4


async def test_a_network_goes_with_its_subnets_and_dhcp_ports_but_not_with_others() -> None:
    rig = make_rig()
    network, subnet = await rig.network()
    await rig.agent("h1", has_dhcp=True)
    port = await rig.bound_port(network)
    await rig.dhcp_wanted("h1")
    owners = {"network:dhcp", "compute:nova"}
    assert {one["device_owner"] for one in (await rig.ask("GET", "/v2.0/ports")).json["ports"]} == owners
    answer = await rig.ask("DELETE", f"/v2.0/networks/{network['id']}")
    assert (answer.status, kind_of(answer)) == (409, "NetworkInUse")
    assert "There are one or more ports still in use on the network" in text_of(answer)
    in_use = await rig.ask("DELETE", f"/v2.0/subnets/{subnet['id']}")
    assert (in_use.status, kind_of(in_use)) == (409, "SubnetInUse")
    await rig.ask("DELETE", f"/v2.0/ports/{port['id']}")
    assert (await rig.ask("DELETE", f"/v2.0/networks/{network['id']}")).status == 204
    assert (await rig.ask("GET", "/v2.0/ports", by="admin")).json["ports"] == []
    assert (await rig.ask("GET", "/v2.0/subnets", by="admin")).json["subnets"] == []


async def test_a_subnet_goes_with_its_dhcp_address() -> None:
    rig = make_rig()
    network, subnet = await rig.network()
    await rig.agent("h1", has_dhcp=True)
    port = await rig.bound_port(network)
    await rig.dhcp_wanted("h1")
    await rig.ask("DELETE", f"/v2.0/ports/{port['id']}")
    assert (await rig.ask("DELETE", f"/v2.0/subnets/{subnet['id']}")).status == 204
    assert (await rig.ask("GET", "/v2.0/ports")).json["ports"] == []
    assert (await rig.show("network", network["id"]))["subnets"] == []


async def test_others_see_nothing_of_a_project_but_what_is_shared() -> None:
    rig = make_rig()
    network, subnet = await rig.network()
    port = await rig.make("port", network_id=network["id"])
    for path in (f"networks/{network['id']}", f"subnets/{subnet['id']}", f"ports/{port['id']}"):
        for method in ("GET", "DELETE", "PUT"):
            body = {path.split("s/")[0]: {"name": "mine"}} if method == "PUT" else None
            assert (await rig.ask(method, f"/v2.0/{path}", body, by="other")).status == 404
    assert (await rig.ask("POST", "/v2.0/ports", {"port": {"network_id": network["id"]}}, by="other")).status == 404
    shared = {"network": {"shared": True}}
    path = f"/v2.0/networks/{network['id']}"
    assert (await rig.ask("PUT", path, shared)).status == 403
    assert (await rig.ask("PUT", path, shared, by="admin")).status == 200
    theirs = await rig.make("port", by="other", network_id=network["id"])
    assert theirs["project_id"] == OTHER
    assert (await rig.ask("PUT", path, {"network": {"name": "mine"}}, by="other")).status == 403
    chosen = {"port": {"network_id": network["id"], "fixed_ips": [{"ip_address": "10.0.0.99"}]}}
    assert (await rig.ask("POST", "/v2.0/ports", chosen, by="other")).status == 403
    assert [one["id"] for one in (await rig.ask("GET", "/v2.0/ports", by="other")).json["ports"]] == [theirs["id"]]


async def test_a_name_is_no_id() -> None:
    rig = make_rig()
    await rig.network()
    for path in ("networks/net", "ports/web", "subnets/s", "security-groups/default", "extensions/none", "agents/-1"):
        assert (await rig.ask("GET", f"/v2.0/{path}")).status == 404
    assert len((await rig.ask("GET", "/v2.0/networks?name=net")).json["networks"]) == 1
    assert (await rig.ask("GET", "/v2.0/networks?name=none")).json["networks"] == []


async def test_lists_are_filtered_by_alternatives_sorted_cut_and_narrowed() -> None:
    rig = make_rig()
    network, subnet = await rig.network()
    ports = [await rig.make("port", network_id=network["id"], name=name) for name in ("c", "a", "b")]

    async def names(query: str) -> list[str]:
        return [port["name"] for port in (await rig.ask("GET", f"/v2.0/ports?{query}")).json["ports"]]

    assert await names("") == ["c", "a", "b"]
    assert await names(f"id={ports[0]['id']}&id={ports[1]['id']}") == ["c", "a"]
    assert await names("name=a&name=b&unknown=x") == ["a", "b"]
    assert await names("sort_key=name&sort_dir=desc") == ["c", "b", "a"]
    assert await names("fixed_ips=ip_address%3D10.0.0.3") == ["a"]
    assert await names(f"fixed_ips=subnet_id%3D{subnet['id']}") == ["c", "a", "b"]
    assert await names("fixed_ips=ip_address_substr%3D0.0.4") == ["b"]
    assert await names("admin_state_up=True&device_id=") == ["c", "a", "b"]
    assert await names("status=ACTIVE") == []
    assert (await rig.ask("GET", "/v2.0/ports?sort_key=nonsense")).status == 400
    assert (await rig.ask("GET", "/v2.0/ports?limit=-1")).status == 400
    assert (await rig.ask("GET", "/v2.0/ports?marker=nowhere")).status == 404
    fields = (await rig.ask("GET", "/v2.0/ports?fields=id&fields=name")).json["ports"][0]
    assert fields == {"id": ports[0]["id"], "name": "c"}
    page = (await rig.ask("GET", "/v2.0/ports?sort_key=name&limit=2")).json
    assert [port["name"] for port in page["ports"]] == ["a", "b"]
    link = page["ports_links"][0]["href"].removeprefix("http://cloud.example:8780/network")
    assert [port["name"] for port in (await rig.ask("GET", link)).json["ports"]] == ["c"]


async def test_tags_are_kept_and_filtered_by() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    port = await rig.make("port", network_id=network["id"])
    path = f"/v2.0/ports/{port['id']}/tags"
    assert (await rig.ask("PUT", path, {"tags": ["red", "blue"]})).json == {"tags": ["red", "blue"]}
    assert (await rig.ask("PUT", f"{path}/green")).status == 201
    assert (await rig.ask("GET", f"{path}/green")).status == 204
    assert (await rig.ask("DELETE", f"{path}/red")).status == 204
    assert (await rig.ask("DELETE", f"{path}/red")).status == 404
    assert (await rig.ask("GET", path)).json == {"tags": ["blue", "green"]}
    for query, found in (("tags=blue,green", 1), ("tags=red", 0), ("tags-any=red,blue", 1), ("not-tags=blue", 0)):
        assert len((await rig.ask("GET", f"/v2.0/ports?{query}")).json["ports"]) == found
    assert (await rig.ask("DELETE", path)).status == 204
    assert (await rig.show("port", port["id"]))["tags"] == []


async def test_the_bindings_api_knows_the_one_binding() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    await rig.agent("h1")
    await rig.agent("h2")
    port = await rig.bound_port(network)
    path = f"/v2.0/ports/{port['id']}/bindings"
    [binding] = (await rig.ask("GET", path, by="nova")).json["bindings"]
    assert (binding["host"], binding["vif_type"], binding["status"]) == ("h1", "ovs", "ACTIVE")
    same = await rig.ask("POST", path, {"binding": {"host": "h1"}}, by="nova")
    assert (same.status, kind_of(same)) == (409, "PortBindingAlreadyExists")
    second = await rig.ask("POST", path, {"binding": {"host": "h2"}}, by="nova")
    assert (second.status, kind_of(second)) == (500, "PortBindingError")
    active = await rig.ask("PUT", f"{path}/h1/activate", by="nova")
    assert (active.status, kind_of(active)) == (409, "PortBindingAlreadyActive")
    assert (await rig.ask("GET", f"{path}/h2", by="nova")).status == 404
    assert (await rig.ask("GET", path)).status == 403
    assert (await rig.ask("DELETE", f"{path}/h1", by="nova")).status == 204
    assert (await rig.ask("GET", path, by="nova")).json["bindings"] == []
    made = await rig.ask("POST", path, {"binding": {"host": "h2"}}, by="nova")
    assert (made.status, made.json["binding"]["host"]) == (201, "h2")
    assert (await rig.ask("GET", f"{path}/h2", by="nova")).json["binding"] == made.json["binding"]


async def test_agents_are_for_admins() -> None:
    rig = make_rig()
    await rig.agent("h1")
    assert (await rig.ask("GET", "/v2.0/agents")).json == {"agents": []}
    [agent] = (await rig.ask("GET", "/v2.0/agents?host=h1&alive=True", by="admin")).json["agents"]
    assert (agent["host"], agent["alive"], agent["created_at"]) == ("h1", True, "2026-01-01 00:00:00")
    path = f"/v2.0/agents/{agent['id']}"
    changed = await rig.ask("PUT", path, {"agent": {"admin_state_up": False, "description": "old"}}, by="admin")
    assert (changed.json["agent"]["admin_state_up"], changed.json["agent"]["description"]) == (False, "old")
    await rig.agent("h1")
    assert (await rig.ask("GET", path, by="admin")).json["agent"]["description"] == "old"
    assert (await rig.ask("GET", path)).status == 404
    await asyncio.sleep(10)
    assert not (await rig.ask("GET", path, by="admin")).json["agent"]["alive"]
    assert (await rig.ask("DELETE", path, by="admin")).status == 204


async def test_what_is_announced_and_what_there_is_none_of() -> None:
    rig = make_rig()
    extensions = (await rig.ask("GET", "/v2.0/extensions")).json["extensions"]
    assert {one["alias"] for one in extensions} == set(EXTENSIONS)
    assert (await rig.ask("GET", "/v2.0/extensions/binding")).json["extension"]["alias"] == "binding"
    for path, key in (("floatingips", "floatingips"), ("routers", "routers"), ("availability_zones",) * 2):
        assert (await rig.ask("GET", f"/v2.0/{path}")).json == {key: []}
    assert (await rig.ask("POST", "/v2.0/routers", {"router": {}})).status == 400
    quota = (await rig.ask("GET", f"/v2.0/quotas/{DEMO}")).json["quota"]
    assert all(type(limit) is int for limit in quota.values())
    await rig.network()
    details = (await rig.ask("GET", f"/v2.0/quotas/{DEMO}/details.json")).json["quota"]
    assert details["network"] == {"limit": -1, "used": 1, "reserved": 0}
    assert (await rig.ask("GET", f"/v2.0/quotas/{OTHER}")).status == 403


async def test_paths_methods_and_bodies_that_are_none() -> None:
    rig = make_rig()
    assert (await rig.ask("GET", "/v2.0/nothing")).status == 404
    patched = await rig.ask("PATCH", "/v2.0/networks")
    assert (patched.status, text_of(patched)) == (405, "PATCH is not offered at /v2.0/networks.")
    for body in (b"{", b"[]", b'{"subnet": {}}', b'{"network": []}', b'{"networks": []}'):
        assert (await rig.ask("POST", "/v2.0/networks", body)).status == 400


async def test_a_made_mac_address_that_is_taken_is_made_again() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    made = iter(["fa:16:3e:00:00:01", "fa:16:3e:00:00:01", "fa:16:3e:00:00:02"])
    ports = replace(rig.service.ports, new_mac=lambda: next(made))
    bodies = [PortNew(network_id=network["id"])]
    first, second = [await ports.create(CALLERS["demo"], bodies) for _ in range(2)]
    assert (first[0].mac_address, second[0].mac_address) == ("fa:16:3e:00:00:01", "fa:16:3e:00:00:02")
    stuck = replace(ports, new_mac=lambda: "fa:16:3e:00:00:01")
    with pytest.raises(Exhausted):
        await stuck.create(CALLERS["demo"], bodies)


async def test_port_security_and_groups_exclude_each_other() -> None:
    rig = make_rig()
    network, _ = await rig.network()
    plain = await rig.make("port", network_id=network["id"], port_security_enabled=False)
    assert plain["security_groups"] == []
    group = await rig.make("security_group", name="web")
    both = {"network_id": network["id"], "port_security_enabled": False, "security_groups": [group["id"]]}
    assert (await rig.ask("POST", "/v2.0/ports", {"port": both})).status == 400
    secure = await rig.make("port", network_id=network["id"])
    off = await rig.ask("PUT", f"/v2.0/ports/{secure['id']}", {"port": {"port_security_enabled": False}})
    assert (off.status, kind_of(off)) == (409, "PortSecurityPortHasSecurityGroup")


async def test_what_a_network_is_made_of_is_for_admins() -> None:
    rig = make_rig()
    body = {"network": {"name": "n", "provider:network_type": "vlan"}}
    refused = await rig.ask("POST", "/v2.0/networks", body)
    assert refused.status == 403
    assert "setting provider:network_type of a network" in text_of(refused)
    assert (await rig.ask("POST", "/v2.0/networks", body, by="nova")).status == 403
    assert (await rig.ask("POST", "/v2.0/networks", body, by="admin")).status == 400
    local = {"network": {"name": "n", "provider:network_type": "local", "shared": True}}
    made = (await rig.ask("POST", "/v2.0/networks", local, by="admin")).json["network"]
    assert made["provider:network_type"] == "local"
    assert "provider:network_type" not in await rig.show("network", made["id"], by="demo")


async def test_a_service_that_asks_for_a_projects_groups_finds_its_default() -> None:
    rig = make_rig()
    [group] = (await rig.ask("GET", f"/v2.0/security-groups?tenant_id={DEMO}", by="nova")).json["security_groups"]
    assert (group["name"], group["project_id"]) == ("default", DEMO)
    other = (await rig.ask("GET", f"/v2.0/security-groups?tenant_id={DEMO}", by="other")).json["security_groups"]
    assert other == []
