"""The `openstack` command's story: what a user does on the first day, and what the command shows."""

import base64
import re
from collections.abc import Iterator
from hashlib import md5, sha512
from pathlib import Path
from typing import Any

import pytest
from tests.compat.clients import Http, Place, Session, openstack, soon

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
HEX = re.compile(r"[0-9a-f]{32}")
ZULU = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
BARE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}")
HELLO = ("--image", "moorage-guest", "--flavor", "m1.tiny")

Shown = dict[str, Any]


def by(key: str, rows: list[Shown]) -> dict[str, Shown]:
    return {row[key]: row for row in rows}


def ports_of(http: Http, server: str) -> list[Shown]:
    """Asked for over HTTP: the command would look for the server first."""
    ports: list[Shown] = http.get(f"/network/v2.0/ports?device_id={server}")["ports"]
    return ports


def values(rows: list[Shown], name: str, value: str) -> Shown:
    """A table of two columns as a mapping."""
    return {row[name]: row[value] for row in rows}


@pytest.fixture(scope="module")
def keypair(client: Session) -> Iterator[str]:
    client.do("keypair", "create", "key-of-story")
    yield "key-of-story"
    client.do("keypair", "delete", "key-of-story")


@pytest.fixture(scope="module")
def network(client: Session) -> Iterator[str]:
    client.do("network", "create", "net-of-story")
    client.do("subnet", "create", "--network", "net-of-story", "--subnet-range", "10.7.0.0/24", "subnet-of-story")
    yield "net-of-story"
    client.do("network", "delete", "net-of-story")


@pytest.fixture(scope="module")
def made(place: Place, keypair: str) -> Shown:
    """What `server create --wait` shows of a server with a key and user data, by a run of the command itself."""
    user_data = place.home / "user-data"
    user_data.write_text("#!/bin/sh\necho hello\n")
    wanted = ["--network", "private", "--key-name", keypair, "--user-data", str(user_data), "--property", "a=b"]
    ended = openstack(place, "server", "create", *HELLO, *wanted, "--wait", "story", "-f", "json")
    shown: Shown = ended.json
    return shown


@pytest.fixture(scope="module")
def server(client: Session, made: Shown) -> Iterator[str]:
    yield made["id"]
    client.do("server", "delete", made["id"])


# ---- identity


def test_a_token_is_issued(place: Place) -> None:
    token = openstack(place, "token", "issue", "-f", "json").json
    assert set(token) == {"expires", "id", "project_id", "user_id"}
    assert HEX.fullmatch(token["project_id"])
    assert HEX.fullmatch(token["user_id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000", token["expires"])


def test_the_catalog_has_four_services_each_with_three_interfaces(place: Place, client: Session) -> None:
    catalog = by("Type", client.json("catalog", "list"))
    paths = {"identity": "/identity", "compute": "/compute/v2.1", "network": "/network", "image": "/image"}
    assert set(catalog) == set(paths)
    for kind, path in paths.items():
        endpoints = {(one["interface"], one["region"], one["url"]) for one in catalog[kind]["Endpoints"]}
        assert endpoints == {(which, "RegionOne", place.url + path) for which in ("public", "internal", "admin")}


def test_versions_are_found_with_the_range_of_microversions(client: Session) -> None:
    versions = client.json("versions", "show")
    current = {one["Service Type"]: one for one in versions if one["Status"] == "CURRENT"}
    assert (current["compute"]["Min Microversion"], current["compute"]["Max Microversion"]) == ("2.1", "2.96")
    assert current["identity"]["Version"] == "3.14"
    assert current["network"]["Version"] == "2.0"
    assert current["image"]["Endpoint"].endswith("/image/v2/")


def test_an_admin_sees_projects_users_and_roles(client: Session) -> None:
    assert {row["Name"] for row in client.admin("project", "list")} >= {"admin", "demo", "service"}
    assert {row["Name"] for row in client.admin("user", "list")} >= {"admin", "demo", "nova", "neutron"}
    assert {row["Name"] for row in client.admin("role", "list")} >= {"admin", "member", "reader", "service"}


# ---- flavors, images, keys


def test_flavors_are_listed_and_shown(client: Session) -> None:
    flavors = by("Name", client.json("flavor", "list"))
    assert set(flavors) == {"m1.tiny", "m1.small"}
    assert flavors["m1.tiny"] | {"ID": ""} == {
        "ID": "",
        "Name": "m1.tiny",
        "RAM": 128,
        "Disk": 0,
        "Ephemeral": 0,
        "VCPUs": 1,
        "Is Public": True,
    }
    shown = client.json("flavor", "show", "m1.tiny")
    assert (shown["ram"], shown["vcpus"], shown["disk"], shown["swap"]) == (128, 1, 0, 0)
    assert (shown["properties"], shown["rxtx_factor"], shown["os-flavor-access:is_public"]) == ({}, 1.0, True)


def test_an_admin_makes_a_flavor_with_properties_and_deletes_it(client: Session) -> None:
    client.do("flavor", "create", "--ram", "64", "--vcpus", "2", "--disk", "1", "f", cloud="moorage-admin")
    client.do("flavor", "set", "--property", "hw:a=b", "f", cloud="moorage-admin")
    shown = client.admin("flavor", "show", "f")
    assert (shown["ram"], shown["vcpus"], shown["properties"]) == (64, 2, {"hw:a": "b"})
    client.do("flavor", "delete", "f", cloud="moorage-admin")
    assert "f" not in by("Name", client.json("flavor", "list"))


def test_an_image_is_uploaded_with_its_checksums_and_found_by_name(client: Session, tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    (tmp_path / "disk").write_bytes(data)
    wanted = ["--disk-format", "raw", "--container-format", "bare", "--property", "colour=blue"]
    made = client.json("image", "create", "--file", str(tmp_path / "disk"), *wanted, "uploaded")
    assert UUID.fullmatch(made["id"])
    assert (made["status"], made["size"], made["visibility"]) == ("active", len(data), "shared")
    assert made["checksum"] == md5(data, usedforsecurity=False).hexdigest()
    assert made["properties"]["os_hash_value"] == sha512(data).hexdigest()
    assert made["properties"]["colour"] == "blue"
    assert ZULU.fullmatch(made["created_at"])
    assert by("Name", client.json("image", "list"))["uploaded"]["Status"] == "active"
    shown = client.json("image", "show", "uploaded")
    assert shown["id"] == made["id"]
    assert shown["owner"] == client.json("token", "issue")["project_id"]
    client.do("image", "save", "--file", str(tmp_path / "back"), "uploaded")
    assert (tmp_path / "back").read_bytes() == data
    client.do("image", "delete", "uploaded")
    assert "uploaded" not in by("Name", client.json("image", "list"))


def test_the_guest_image_is_there_for_everybody(client: Session) -> None:
    shown = client.json("image", "show", "moorage-guest")
    assert (shown["status"], shown["visibility"]) == ("active", "public")


def test_a_keypair_is_made_and_its_private_half_given_once(client: Session) -> None:
    assert "PRIVATE KEY" in client.do("keypair", "create", "mine")
    listed = by("Name", client.json("keypair", "list"))["mine"]
    assert listed["Type"] == "ssh"
    shown = client.json("keypair", "show", "mine")
    assert shown["fingerprint"] == listed["Fingerprint"]
    assert re.fullmatch(r"([0-9a-f]{2}:){15}[0-9a-f]{2}", shown["fingerprint"])
    assert BARE.fullmatch(shown["created_at"])
    assert shown["private_key"] is None
    client.do("keypair", "delete", "mine")
    assert "mine" not in by("Name", client.json("keypair", "list"))


# ---- networks


def test_a_network_with_a_subnet_and_a_port_can_be_made(client: Session, network: str) -> None:
    shown = client.json("network", "show", network)
    assert (shown["status"], shown["admin_state_up"], shown["mtu"]) == ("ACTIVE", True, 1500)
    subnet = client.json("subnet", "show", "subnet-of-story")
    assert shown["subnets"] == [subnet["id"]]
    assert (subnet["cidr"], subnet["gateway_ip"], subnet["enable_dhcp"]) == ("10.7.0.0/24", "10.7.0.1", True)
    assert subnet["allocation_pools"] == [{"start": "10.7.0.2", "end": "10.7.0.254"}]

    made = client.json("port", "create", "--network", network, "port-of-mine")
    assert made["fixed_ips"] == [{"subnet_id": subnet["id"], "ip_address": "10.7.0.2"}]
    assert made["mac_address"].startswith("fa:16:3e:")
    assert (made["status"], made["device_id"], made["binding_vnic_type"]) == ("DOWN", "", "normal")
    assert made["binding_host_id"] is None  # for services and admins
    assert client.json("port", "show", "port-of-mine") == made
    listed = by("ID", client.json("port", "list", "--network", network))[made["id"]]
    assert (listed["MAC Address"], listed["Fixed IP Addresses"]) == (made["mac_address"], made["fixed_ips"])
    as_admin = client.admin("port", "show", made["id"])
    assert (as_admin["binding_host_id"], as_admin["binding_vif_type"]) == ("", "unbound")
    client.do("port", "delete", "port-of-mine")


def test_a_project_has_its_default_security_group_and_can_make_another(client: Session) -> None:
    groups = by("Name", client.json("security", "group", "list"))
    assert groups["default"]["Project"] == client.json("token", "issue")["project_id"]
    client.do("security", "group", "create", "web")
    rule = client.json("security", "group", "rule", "create", "web", "--protocol", "tcp", "--dst-port", "80")
    assert (rule["direction"], rule["ether_type"], rule["protocol"]) == ("ingress", "IPv4", "tcp")
    assert (rule["port_range_min"], rule["port_range_max"], rule["remote_ip_prefix"]) == (80, 80, "0.0.0.0/0")
    rules = client.json("security", "group", "rule", "list", "web")
    assert sorted(one["Direction"] for one in rules) == ["egress", "egress", "ingress"]
    client.do("security", "group", "delete", "web")


def test_extensions_are_those_that_are_there(client: Session) -> None:
    aliases = {row["Alias"] for row in client.json("extension", "list", "--network")}
    assert aliases >= {"binding", "binding-extended", "security-group", "port-security"}
    assert not aliases & {"router", "external-net", "standard-attr-tag"}  # there is no, or not all of what they promise
    assert aliases.isdisjoint({"router", "dns-integration", "segment", "multi-provider"})


# ---- servers


def test_a_server_is_created_and_shown_when_it_runs(made: Shown, client: Session, keypair: str) -> None:
    assert (made["name"], made["status"], made["OS-EXT-STS:vm_state"]) == ("story", "ACTIVE", "active")
    assert (made["OS-EXT-STS:task_state"], made["OS-EXT-STS:power_state"], made["progress"]) == (None, 1, 100)
    [address] = made["addresses"]["private"]
    assert address.startswith("10.0.0.")
    assert base64.b64decode(made["OS-EXT-SRV-ATTR:user_data"]) == b"#!/bin/sh\necho hello\n"
    assert (made["key_name"], made["properties"]) == (keypair, {"a": "b"})
    assert (made["flavor"]["name"], made["flavor"]["ram"]) == ("m1.tiny", 128)
    assert made["image"].startswith("moorage-guest (")
    assert made["security_groups"] == [{"name": "default"}]
    assert made["adminPass"]
    assert made["OS-EXT-AZ:availability_zone"] == "nova"
    assert ZULU.fullmatch(made["created"])
    assert BARE.fullmatch(made["OS-SRV-USG:launched_at"])
    assert made["project_id"] == client.json("token", "issue")["project_id"]
    assert re.fullmatch(r"[0-9a-f]{56}", made["hostId"])
    assert made["OS-EXT-SRV-ATTR:host"] is None  # for admins


def test_a_server_is_shown_by_name_and_by_id_the_same(client: Session, server: str) -> None:
    by_id, by_name = client.json("server", "show", server), client.json("server", "show", "story")
    assert (by_id.pop("server_groups"), by_name.pop("server_groups")) == ([], None)  # by name it comes from a list
    assert by_id == by_name
    as_admin = client.admin("server", "show", server)
    assert (as_admin["OS-EXT-SRV-ATTR:host"], as_admin["host_status"]) == ("host-1", "UP")


def test_servers_are_listed_with_their_networks_image_and_flavor(place: Place, server: str, made: Shown) -> None:
    listed = by("ID", openstack(place, "server", "list", "-f", "json").json)[server]
    assert listed == {
        "ID": server,
        "Name": "story",
        "Status": "ACTIVE",
        "Networks": made["addresses"],
        "Image": "moorage-guest",
        "Flavor": "m1.tiny",
    }


def test_an_admin_lists_the_servers_of_all_projects(client: Session, server: str) -> None:
    assert server not in by("ID", client.admin("server", "list"))
    assert server in by("ID", client.admin("server", "list", "--all-projects"))


def test_the_server_s_port_is_active_and_bound_to_its_host(client: Session, server: str, made: Shown) -> None:
    [listed] = client.json("port", "list", "--server", server)
    port = client.admin("port", "show", listed["ID"])
    assert (port["status"], port["device_id"], port["device_owner"]) == ("ACTIVE", server, "compute:nova")
    assert (port["binding_host_id"], port["binding_vif_type"]) == ("host-1", "ovs")
    assert [ip["ip_address"] for ip in port["fixed_ips"]] == made["addresses"]["private"]


def test_a_server_is_stopped_and_started(client: Session, server: str) -> None:
    client.do("server", "stop", server)
    assert client.until("SHUTOFF", server)["OS-EXT-STS:power_state"] == 4
    refused = client.run("server", "stop", server).message
    assert f"Cannot 'os-stop' instance {server} while it is in vm_state stopped" in refused
    client.do("server", "start", server)
    assert client.until("ACTIVE", server)["OS-EXT-STS:power_state"] == 1


def test_a_server_is_rebooted_softly_and_hard(client: Session, server: str) -> None:
    for how in ("--soft", "--hard"):
        client.do("server", "reboot", how, server)
        client.until("ACTIVE", server)


def test_the_console_shows_the_address_that_the_guest_got(client: Session, server: str, made: Shown) -> None:
    [address] = made["addresses"]["private"]
    assert f"moorage-guest: address {address}" in client.do("console", "log", "show", server)
    assert len(client.do("console", "log", "show", "--lines", "1", server).splitlines()) == 1


def test_a_server_s_events_are_listed_and_shown(client: Session, server: str) -> None:
    events = client.json("server", "event", "list", server)
    assert events[-1]["Action"] == "create"
    assert all(BARE.fullmatch(event["Start Time"]) for event in events)
    shown = client.json("server", "event", "show", server, events[-1]["Request ID"])
    assert (shown["action"], shown["message"]) == ("create", None)
    [step] = shown["events"]
    assert (step["event"], step["result"]) == ("compute__do_build_and_run_instance", "Success")


def test_a_locked_server_is_left_alone(client: Session, server: str) -> None:
    client.do("server", "lock", server)
    assert client.json("server", "show", server)["locked"] is True
    assert "is locked" in client.run("server", "delete", server).message
    client.do("server", "unlock", server)


def test_a_server_is_renamed_and_given_properties(client: Session, server: str) -> None:
    client.do("server", "set", "--name", "renamed ☃", "--property", "x=y", server)
    shown = client.json("server", "show", "renamed ☃")
    assert (shown["id"], shown["properties"]["x"]) == (server, "y")
    client.do("server", "unset", "--property", "x", server)
    client.do("server", "set", "--name", "story", server)
    assert "x" not in client.json("server", "show", "story")["properties"]


def test_a_server_takes_a_port_that_there_is_and_gives_it_back(client: Session, network: str) -> None:
    port = client.json("port", "create", "--network", network, "given")
    client.do("server", "create", *HELLO, "--port", "given", "on-a-port")
    shown = client.until("ACTIVE", "on-a-port")
    assert shown["addresses"] == {network: [port["fixed_ips"][0]["ip_address"]]}
    taken = client.json("port", "show", "given")
    assert (taken["status"], taken["device_id"]) == ("ACTIVE", shown["id"])
    second = client.run("server", "create", *HELLO, "--port", "given", "second").message
    assert f"Port {port['id']} is still in use" in second
    client.do("server", "delete", "--wait", "on-a-port")
    left = client.json("port", "show", "given")
    assert (left["status"], left["device_id"], left["device_owner"]) == ("DOWN", "", "")
    assert left["fixed_ips"] == port["fixed_ips"]
    client.do("port", "delete", "given")


def test_a_deleted_server_is_gone_with_its_port(place: Place, client: Session, http: Http) -> None:
    made = client.json("server", "create", *HELLO, "--network", "private", "short-lived")
    client.until("ACTIVE", made["id"])
    assert openstack(place, "server", "delete", "--wait", "short-lived").code == 0
    assert client.run("server", "show", "short-lived").message == "No Server found for short-lived"
    assert ports_of(http, made["id"]) == []


def test_a_server_deleted_while_it_is_built_is_gone_too(client: Session, http: Http) -> None:
    made = client.json("server", "create", *HELLO, "--network", "private", "never-born")
    client.do("server", "delete", "--wait", made["id"])
    assert made["id"] not in by("ID", client.json("server", "list"))
    soon(lambda: ports_of(http, made["id"]) == [])


# ---- hosts, limits


def test_an_admin_sees_hosts_and_agents(client: Session) -> None:
    [service] = client.admin("compute", "service", "list")
    assert (service["Binary"], service["Host"], service["Zone"]) == ("nova-compute", "host-1", "nova")
    assert (service["Status"], service["State"]) == ("enabled", "up")
    assert UUID.fullmatch(service["ID"])
    assert BARE.fullmatch(service["Updated At"])
    [hypervisor] = client.admin("hypervisor", "list")
    assert (hypervisor["Hypervisor Hostname"], hypervisor["State"]) == ("host-1", "up")
    shown = client.admin("hypervisor", "show", "host-1")
    assert (shown["id"], shown["service_host"], shown["status"]) == (hypervisor["ID"], "host-1", "enabled")
    agents = client.admin("network", "agent", "list")
    ovs = by("Binary", agents)["neutron-openvswitch-agent"]
    assert (ovs["Agent Type"], ovs["Host"], ovs["Alive"], ovs["State"]) == ("Open vSwitch agent", "host-1", True, True)


def test_a_user_sees_no_hosts(client: Session) -> None:
    assert "Policy doesn't allow os_compute_api:os-services:list" in client.run("compute", "service", "list").message
    assert "Policy doesn't allow os_compute_api:os-hypervisors" in client.run("hypervisor", "list").message
    assert client.json("network", "agent", "list") == []


def test_an_admin_sets_a_quota(client: Session) -> None:
    set_it = ("quota", "set", "--instances", "7", "--ports", "70", "--force", "service")
    client.do(*set_it, cloud="moorage-admin")
    quota = values(client.admin("quota", "show", "service"), "Resource", "Limit")
    assert (quota["instances"], quota["ports"]) == (7, 70)


def test_zones_quotas_and_limits_are_shown(client: Session, server: str) -> None:
    assert client.json("availability", "zone", "list") == [{"Zone Name": "nova", "Zone Status": "available"}]
    quota = values(client.json("quota", "show"), "Resource", "Limit")
    assert {"instances", "cores", "ram", "key-pairs", "networks", "ports"} <= set(quota)
    used = values(client.json("limits", "show", "--absolute"), "Name", "Value")
    assert used["total_instances_used"] >= 1
    assert used["total_ram_used"] >= 128
    assert used["max_total_instances"] == quota["instances"]
