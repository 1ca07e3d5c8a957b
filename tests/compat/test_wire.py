"""What goes over the wire, byte by byte where clients are strict: fields by microversion, codes, headers, errors."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from tests.compat.clients import Http, soon

SERVERS = "/compute/v2.1/servers"
EVENTS = "/compute/v2.1/os-server-external-events"
ZULU = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
BARE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}")
REQUEST_ID = re.compile(r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

SERVER_2_1 = {
    *("id", "name", "status", "tenant_id", "user_id", "hostId", "image", "flavor", "created", "updated", "links"),
    *("accessIPv4", "accessIPv6", "addresses", "metadata", "key_name", "config_drive", "security_groups", "progress"),
    *("OS-DCF:diskConfig", "OS-EXT-AZ:availability_zone", "os-extended-volumes:volumes_attached"),
    *("OS-EXT-STS:task_state", "OS-EXT-STS:vm_state", "OS-EXT-STS:power_state"),
    *("OS-SRV-USG:launched_at", "OS-SRV-USG:terminated_at"),
}
ADMINS_2_1 = {f"OS-EXT-SRV-ATTR:{name}" for name in ("host", "instance_name", "hypervisor_hostname")}
ADMINS_2_3 = ADMINS_2_1 | {
    f"OS-EXT-SRV-ATTR:{name}"
    for name in (
        "hostname",
        "kernel_id",
        "ramdisk_id",
        "launch_index",
        "reservation_id",
        "root_device_name",
        "user_data",
    )
}
# the fields of a server that came with each microversion: for everybody, and for admins
SINCE: dict[int, tuple[set[str], set[str]]] = {
    1: (SERVER_2_1, ADMINS_2_1),
    3: (set(), ADMINS_2_3),
    9: ({"locked"}, set()),
    16: (set(), {"host_status"}),
    19: ({"description"}, set()),
    26: ({"tags"}, set()),
    63: ({"trusted_image_certificates"}, set()),
    71: ({"server_groups"}, set()),
    73: ({"locked_reason"}, set()),
    90: ({"OS-EXT-SRV-ATTR:hostname"}, set()),
    96: ({"pinned_availability_zone"}, set()),
}
FLAVOR_2_1 = {
    *("id", "name", "ram", "vcpus", "disk", "swap", "rxtx_factor", "links"),
    *("OS-FLV-DISABLED:disabled", "OS-FLV-EXT-DATA:ephemeral", "os-flavor-access:is_public"),
}
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPW6Bdu6GiUCNwY/lISsmdV3ew8795aZ4byibkEENT/J x@y"


def fields_of_server(minor: int, *, is_admin: bool) -> set[str]:
    came = [fields for first, fields in SINCE.items() if first <= minor]
    return set().union(*(for_all | (for_admins if is_admin else set()) for for_all, for_admins in came))


def wanted(http: Http, **more: Any) -> dict[str, Any]:
    [network] = http.get("/network/v2.0/networks?name=private")["networks"]
    [image] = http.get("/image/v2/images?name=moorage-guest")["images"]
    nics = [{"uuid": network["id"]}]
    return {"server": {"name": "wire", "imageRef": image["id"], "flavorRef": "1", "networks": nics, **more}}


def until(http: Http, server: str, status: str) -> dict[str, Any]:
    def shown() -> Any:
        found = http.get(f"{SERVERS}/{server}")["server"]
        return found if found["status"] == status else None

    found: dict[str, Any] = soon(shown)
    return found


@pytest.fixture(scope="module")
def server(http: Http) -> Iterator[str]:
    made = http.call("POST", SERVERS, wanted(http)).json["server"]["id"]
    until(http, made, "ACTIVE")
    yield made
    assert http.call("DELETE", f"{SERVERS}/{made}").status == 204


@pytest.fixture(scope="module")
def failed(http: Http) -> Iterator[str]:
    """A server that could not be built: its address is none of its network."""
    body = wanted(http, name="failed")
    body["server"]["networks"][0]["fixed_ip"] = "192.0.2.1"
    made = http.call("POST", SERVERS, body).json["server"]["id"]
    until(http, made, "ERROR")
    yield made
    assert http.call("DELETE", f"{SERVERS}/{made}").status == 204


# ---- servers


def test_a_new_server_is_answered_with_what_is_needed_to_find_it(http: Http) -> None:
    answer = http.call("POST", SERVERS, wanted(http))
    assert answer.status == 202
    made = answer.json["server"]
    assert set(made) == {"id", "links", "OS-DCF:diskConfig", "security_groups", "adminPass"}
    assert answer.headers["location"] == f"{http.base}{SERVERS}/{made['id']}"
    request_id = answer.headers["x-openstack-request-id"]
    assert REQUEST_ID.fullmatch(request_id)
    assert answer.headers["x-compute-request-id"] == request_id
    actions = http.get(f"{SERVERS}/{made['id']}/os-instance-actions")["instanceActions"]
    assert [(action["action"], action["request_id"]) for action in actions] == [("create", request_id)]
    gone = http.call("DELETE", f"{SERVERS}/{made['id']}")
    assert (gone.status, gone.body, "content-type" in gone.headers) == (204, b"", False)


@pytest.mark.parametrize("minor", [*SINCE, 2, 8, 47, 75, 89])
def test_a_server_has_the_fields_of_its_microversion_and_no_others(
    http: Http, admin_http: Http, server: str, minor: int
) -> None:
    for who, is_admin in ((http, False), (admin_http, True)):
        shown = who.get(f"{SERVERS}/{server}", version=f"2.{minor}")["server"]
        assert set(shown) == fields_of_server(minor, is_admin=is_admin)
        everywhere = "?all_tenants=1" if is_admin else ""
        listed = who.get(f"{SERVERS}/detail{everywhere}", version=f"2.{minor}")["servers"]
        [in_list] = [one for one in listed if one["id"] == server]
        assert set(in_list) == set(shown) - {"server_groups"}


def test_a_server_says_what_it_is_made_of(http: Http, server: str) -> None:
    shown = http.get(f"{SERVERS}/{server}")["server"]
    assert ZULU.fullmatch(shown["created"])
    assert ZULU.fullmatch(shown["updated"])
    assert BARE.fullmatch(shown["OS-SRV-USG:launched_at"])
    assert shown["OS-SRV-USG:terminated_at"] is None
    assert re.fullmatch(r"[0-9a-f]{56}", shown["hostId"])
    assert (shown["flavor"]["id"], shown["flavor"]["links"][0]["rel"]) == ("1", "bookmark")
    assert [link["rel"] for link in shown["links"]] == ["self", "bookmark"]
    [address] = shown["addresses"]["private"]
    assert set(address) == {"version", "addr", "OS-EXT-IPS:type", "OS-EXT-IPS-MAC:mac_addr"}
    assert (shown["config_drive"], shown["OS-EXT-STS:power_state"], shown["metadata"]) == ("", 1, {})
    embedded = http.get(f"{SERVERS}/{server}", version="2.47")["server"]["flavor"]
    assert set(embedded) == {"vcpus", "ram", "disk", "ephemeral", "swap", "original_name", "extra_specs"}


def test_a_failed_server_has_a_fault_and_only_admins_see_its_details(http: Http, admin_http: Http, failed: str) -> None:
    shown = http.get(f"{SERVERS}/{failed}")["server"]
    assert set(shown["fault"]) == {"code", "created", "message"}
    assert "192.0.2.1 is not a valid IP" in shown["fault"]["message"]
    assert ZULU.fullmatch(shown["fault"]["created"])
    assert "progress" not in shown
    assert (shown["OS-EXT-STS:vm_state"], shown["OS-EXT-STS:task_state"]) == ("error", None)
    as_admin = admin_http.get(f"{SERVERS}/{failed}")["server"]
    assert as_admin["OS-EXT-SRV-ATTR:host"] is None


def test_changing_a_server_answers_less_below_2_75(http: Http, server: str) -> None:
    def changed(version: str) -> set[str]:
        answer = http.call("PUT", f"{SERVERS}/{server}", {"server": {"name": "wire"}}, version=version)
        return set(answer.json["server"])

    not_there = {name for name in SERVER_2_1 if name.startswith(("OS-EXT", "OS-SRV", "os-ext"))}
    assert changed("2.1") == SERVER_2_1 - not_there - {"key_name", "config_drive", "security_groups"}
    assert changed("2.75") == fields_of_server(75, is_admin=False)


def test_lists_are_cut_and_say_where_they_go_on(http: Http, server: str, failed: str) -> None:
    first = http.get(f"{SERVERS}?limit=1")
    assert [set(one) for one in first["servers"]] == [{"id", "name", "links"}]
    [link] = first["servers_links"]
    assert link["rel"] == "next"
    second = http.get(link["href"].removeprefix(http.base))["servers"]
    assert {first["servers"][0]["id"], second[0]["id"]} == {server, failed}
    assert http.get(f"{SERVERS}?limit=0") == {"servers": []}
    for query in ("limit=-1", "limit=x", "marker=nope", "changes-since=x", "sort_key=x", "name=((("):
        assert http.call("GET", f"{SERVERS}?{query}").fault[:2] == (400, "badRequest")
    assert http.call("GET", f"{SERVERS}?all_tenants=1").fault[:2] == (403, "forbidden")
    assert http.get(f"{SERVERS}?status=NONSENSE") == {"servers": []}
    assert http.call("GET", f"{SERVERS}?status=NONSENSE", version="2.38").fault[0] == 400


# ---- other things of compute


@pytest.mark.parametrize(
    ("minor", "more"), [(1, set()), (54, set()), (55, {"description"}), (61, {"description", "extra_specs"})]
)
def test_a_flavor_has_the_fields_of_its_microversion(http: Http, minor: int, more: set[str]) -> None:
    shown = http.get("/compute/v2.1/flavors/1", version=f"2.{minor}")["flavor"]
    assert set(shown) == FLAVOR_2_1 | more
    assert (shown["swap"], shown["rxtx_factor"]) == ("", 1.0)
    assert http.get("/compute/v2.1/flavors/1", version="2.75")["flavor"]["swap"] == 0


@pytest.mark.parametrize(("version", "made", "gone", "fields"), [("2.1", 200, 202, set()), ("2.2", 201, 204, {"type"})])
def test_keypairs_have_the_codes_of_their_microversion(
    http: Http, version: str, made: int, gone: int, fields: set[str]
) -> None:
    body = {"keypair": {"name": "wire", "public_key": PUBLIC_KEY}}
    answer = http.call("POST", "/compute/v2.1/os-keypairs", body, version=version)
    assert answer.status == made
    assert set(answer.json["keypair"]) == {"name", "public_key", "fingerprint", "user_id"} | fields
    assert http.call("POST", "/compute/v2.1/os-keypairs", body).fault[:2] == (409, "conflictingRequest")
    shown = http.get("/compute/v2.1/os-keypairs/wire", version=version)["keypair"]
    assert set(shown) == set(answer.json["keypair"]) | {"id", "created_at", "updated_at", "deleted", "deleted_at"}
    assert BARE.fullmatch(shown["created_at"])
    assert isinstance(shown["id"], int)
    deleted = http.call("DELETE", "/compute/v2.1/os-keypairs/wire", version=version)
    assert (deleted.status, deleted.body) == (gone, b"")


def test_services_and_hypervisors_have_numbers_first_and_uuids_later(admin_http: Http) -> None:
    [old] = admin_http.get("/compute/v2.1/os-services")["services"]
    assert set(old) == {"id", "binary", "host", "zone", "status", "state", "updated_at", "disabled_reason"}
    assert isinstance(old["id"], int)
    [new] = admin_http.get("/compute/v2.1/os-services", version="2.53")["services"]
    assert set(new) == {*old, "forced_down"}
    assert len(new["id"]) == 36
    [old] = admin_http.get("/compute/v2.1/os-hypervisors/detail")["hypervisors"]
    assert isinstance(old["id"], int)
    assert isinstance(old["cpu_info"], str)
    assert {"vcpus", "memory_mb", "running_vms", "free_ram_mb", "service"} <= set(old)
    [new] = admin_http.get("/compute/v2.1/os-hypervisors/detail", version="2.88")["hypervisors"]
    assert len(new["id"]) == 36
    assert "vcpus" not in new
    assert "uptime" in new


# ---- external events


def event(server: str, name: str = "network-changed", **more: str) -> dict[str, str]:
    return {"name": name, "server_uuid": server, **more}


def test_each_event_is_answered_by_its_code(admin_http: Http, server: str, failed: str) -> None:
    unknown = str(uuid4())
    port = str(uuid4())
    answer = admin_http.call("POST", EVENTS, {"events": [event(server, tag=port, status="failed")]})
    assert (answer.status, answer.json) == (
        200,
        {"events": [{**event(server, tag=port), "code": 200, "status": "completed"}]},
    )
    mixed = admin_http.call("POST", EVENTS, {"events": [event(unknown), event(server), event(failed)]})
    assert mixed.status == 207
    assert [(one["code"], one["status"]) for one in mixed.json["events"]] == [
        (404, "failed"),
        (200, "completed"),
        (422, "failed"),
    ]
    none = admin_http.call("POST", EVENTS, {"events": [event(unknown)]})
    assert (none.status, none.json["events"][0]["code"]) == (207, 404)
    no_tag = admin_http.call("POST", EVENTS, {"events": [event(server, "volume-extended")]}, version="2.51")
    assert (no_tag.status, no_tag.json["events"][0]["code"]) == (207, 400)


def test_events_that_are_none_are_refused_as_a_whole(http: Http, admin_http: Http, server: str) -> None:
    bodies: list[dict[str, Any]] = [
        {"events": []},
        {"events": [event(server, "volume-extended", tag="x")]},  # of a later microversion
        {"events": [event(server, "nonsense")]},
        {"events": [event(server), {**event(server), "surprise": 1}]},
        {"events": [event("no-uuid")]},
        {"events": [event(server, status="perhaps")]},
    ]
    for body in bodies:
        assert admin_http.call("POST", EVENTS, body).fault[:2] == (400, "badRequest")
    assert http.call("POST", EVENTS, {"events": [event(server)]}).fault[:2] == (403, "forbidden")


# ---- headers, errors, versions


def test_compute_says_which_microversion_it_spoke_even_when_it_refuses(http: Http) -> None:
    for path, version, spoken in (
        (SERVERS, None, "2.1"),
        (SERVERS, "2.60", "2.60"),
        (SERVERS, "latest", "2.96"),
        (f"{SERVERS}/nope", "2.5", "2.5"),
    ):
        headers = http.call("GET", path, version=version).headers
        assert headers["openstack-api-version"] == f"compute {spoken}"
        assert headers["x-openstack-nova-api-version"] == spoken
        assert headers["vary"] == "OpenStack-API-Version, X-OpenStack-Nova-API-Version"
    old_way = http.call("GET", SERVERS, headers={"X-OpenStack-Nova-API-Version": "2.7"})
    assert old_way.headers["x-openstack-nova-api-version"] == "2.7"
    status, name, message = http.call("GET", SERVERS, version="2.999").fault
    assert (status, name) == (406, "computeFault")
    assert "2.1" in message
    assert "2.96" in message
    assert http.call("GET", SERVERS, version="two").fault[:2] == (400, "badRequest")


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        (f"{SERVERS}/nope", {"itemNotFound": {"code", "message"}}),
        ("/compute/v2.1/flavors/nope", {"itemNotFound": {"code", "message"}}),
        ("/compute/v2.1/os-keypairs/nope", {"itemNotFound": {"code", "message"}}),
        ("/compute/v2.1/nowhere", {"itemNotFound": {"code", "message"}}),
        ("/network/v2.0/ports/nope", {"NeutronError": {"type", "message", "detail"}}),
        ("/network/v2.0/networks/nope", {"NeutronError": {"type", "message", "detail"}}),
        ("/network/v2.0/nowhere", {"NeutronError": {"type", "message", "detail"}}),
        ("/image/v2/images/nope", {"message": None, "code": None, "title": None}),
        ("/identity/v3/users/nope", {"error": {"code", "title", "message"}}),
    ],
)
def test_what_is_not_there_is_404_in_each_services_own_shape(admin_http: Http, path: str, shape: Any) -> None:
    answer = admin_http.call("GET", path)
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/json"
    assert REQUEST_ID.fullmatch(answer.headers["x-openstack-request-id"])
    assert {key: set(value) if isinstance(value, dict) else None for key, value in answer.json.items()} == shape


@pytest.mark.parametrize("path", [SERVERS, "/network/v2.0/networks", "/image/v2/images", "/identity/v3/projects"])
def test_who_has_no_token_is_told_where_to_get_one(http: Http, path: str) -> None:
    for token in ("", "stolen"):
        answer = Http(http.base, token).call("GET", path)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == f'Keystone uri="{http.base}/identity"'
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", [SERVERS, "/network/v2.0/networks", "/image/v2/images", "/identity/v3/auth/tokens"])
def test_a_body_that_is_none_is_told_as_such(http: Http, path: str) -> None:
    for raw in (b"", b"{", b"[]", b"\xff\xfe", b'{"\\ud800": 1}', b"[" * 100_000):
        answer = http.call("POST", path, raw=raw)
        assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert http.call("POST", path, raw=b"x" * 2_000_000).status == 413  # read to its end, or nobody would see why
    assert http.call("POST", path, raw=b"<a/>", headers={"Content-Type": "application/xml"}).status == 415


def test_network_errors_are_named_for_programs(http: Http) -> None:
    [network] = http.get("/network/v2.0/networks?name=private")["networks"]
    port = {"network_id": network["id"], "fixed_ips": [{"ip_address": "192.0.2.1"}]}
    assert http.call("POST", "/network/v2.0/ports", {"port": port}).neutron_error[:2] == (400, "InvalidIpForNetwork")
    unknown = {"port": {"network_id": str(uuid4())}}
    assert http.call("POST", "/network/v2.0/ports", unknown).neutron_error[:2] == (404, "NetworkNotFound")
    bound = {"port": {"network_id": network["id"], "binding:host_id": "host-1"}}
    assert http.call("POST", "/network/v2.0/ports", bound).neutron_error[:2] == (403, "PolicyNotAuthorized")
    odd = http.call("POST", "/network/v2.0/networks", {"network": {"surprise": 1}})
    assert odd.neutron_error == (400, "HTTPBadRequest", "Unrecognized attribute(s) 'surprise'")


def test_versions_are_told_to_anybody(http: Http) -> None:
    nobody = Http(http.base, "")
    identity = nobody.call("GET", "/identity")
    assert (identity.status, identity.json["versions"]["values"][0]["status"]) == (300, "stable")
    assert set(nobody.get("/identity/v3")["version"]) == {"id", "status", "updated", "links", "media-types"}
    compute = nobody.get("/compute/v2.1")["version"]
    assert (compute["id"], compute["min_version"], compute["version"]) == ("v2.1", "2.1", "2.96")
    assert nobody.call("GET", "/compute").status == 200
    assert {one["name"] for one in nobody.get("/network/v2.0")["resources"]} >= {"network", "subnet", "port"}
    images = nobody.call("GET", "/image")
    assert images.status == 300
    assert [one["status"] for one in images.json["versions"]].count("CURRENT") == 1
    assert nobody.call("GET", "/image/versions").status == 200


def test_times_of_network_image_and_token_have_their_own_forms(http: Http, admin_http: Http) -> None:
    [network] = http.get("/network/v2.0/networks?name=private")["networks"]
    assert ZULU.fullmatch(network["created_at"])
    [image] = http.get("/image/v2/images?name=moorage-guest")["images"]
    assert ZULU.fullmatch(image["updated_at"])
    token = http.get("/identity/v3/auth/tokens", headers={"X-Subject-Token": http.token})["token"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", token["expires_at"])
    agents = admin_http.get("/network/v2.0/agents")["agents"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", one["heartbeat_timestamp"]) for one in agents)
