"""What a server looks like, to whom and at which microversion."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from moorage.compute_api.view import As, Eye, server_view
from moorage.domain.ids import FlavorId, HostName, ImageId, NetworkId, PortId, ProjectId, ServerId, UserId
from moorage.domain.server import (
    Fault,
    Flavor,
    Life,
    NicInfo,
    PowerState,
    RequestedNic,
    Server,
    TaskState,
    VmState,
)

AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
SERVER = Server(
    id=ServerId("s1"),
    project=ProjectId("p"),
    user=UserId("u"),
    name="vm",
    created=AT,
    updated=AT,
    flavor=Flavor(FlavorId("1"), "m1.tiny", 1, 128, 0, extra_specs={"a": "b"}),
    image=ImageId("i"),
    nics_wanted=(RequestedNic(network=NetworkId("n")),),
    life=Life(VmState.ACTIVE, None, PowerState.RUNNING),
    host=HostName("h1"),
    nics=(
        NicInfo(PortId("p2"), NetworkId("n"), "blue", "fa:16:3e:00:00:02", ("10.0.0.2", "fd00::2"), is_ours=True),
        NicInfo(PortId("p1"), NetworkId("m"), "red", "fa:16:3e:00:00:01", ("10.1.0.1",), is_ours=True),
    ),
    launched_at=AT,
)

BASE = {
    *[
        "id",
        "name",
        "status",
        "tenant_id",
        "user_id",
        "hostId",
        "image",
        "flavor",
        "created",
        "updated",
        "accessIPv4",
        "accessIPv6",
        "metadata",
        "links",
    ],
    *["addresses", "key_name", "config_drive", "security_groups", "progress", "OS-DCF:diskConfig"],
    "OS-EXT-AZ:availability_zone",
    *(f"OS-EXT-STS:{word}" for word in ("task_state", "vm_state", "power_state")),
    *(f"OS-SRV-USG:{word}" for word in ("launched_at", "terminated_at")),
    "os-extended-volumes:volumes_attached",
}
PLACE = {f"OS-EXT-SRV-ATTR:{word}" for word in ("host", "instance_name", "hypervisor_hostname")}
MORE = {
    f"OS-EXT-SRV-ATTR:{word}"
    for word in [
        "hostname",
        "kernel_id",
        "ramdisk_id",
        "launch_index",
        "reservation_id",
        "root_device_name",
        "user_data",
    ]
}


def view(minor: int = 1, place: As = As.SHOWN, *, is_admin: bool = False, **changes: Any) -> Mapping[str, Any]:
    eye = Eye("http://cloud/compute", minor, is_admin)
    return server_view(replace(SERVER, **changes), eye, place, "UP")


def test_the_base_view_has_these_keys_and_no_others() -> None:
    assert set(view()) == BASE
    assert set(view(is_admin=True)) == BASE | PLACE


@pytest.mark.parametrize(
    ("minor", "keys", "is_for_admins"),
    [
        (3, MORE, True),
        (9, {"locked"}, False),
        (16, {"host_status"}, True),
        (19, {"description"}, False),
        (26, {"tags"}, False),
        (63, {"trusted_image_certificates"}, False),
        (71, {"server_groups"}, False),
        (73, {"locked_reason"}, False),
        (96, {"pinned_availability_zone"}, False),
    ],
)
def test_each_key_comes_with_its_microversion(minor: int, keys: set[str], is_for_admins: bool) -> None:
    assert set(view(minor, is_admin=True)) - set(view(minor - 1, is_admin=True)) == keys
    gained = set(view(minor)) - set(view(minor - 1))
    assert gained == (set() if is_for_admins else keys)


def test_the_hostname_is_for_all_from_2_90_on() -> None:
    assert "OS-EXT-SRV-ATTR:hostname" not in view(89)
    assert "OS-EXT-SRV-ATTR:hostname" in view(90)


def test_the_flavor_is_a_link_until_2_46_and_then_a_copy() -> None:
    assert set(view(46)["flavor"]) == {"id", "links"}
    assert set(view(47)["flavor"]) == {"vcpus", "ram", "disk", "ephemeral", "swap", "original_name", "extra_specs"}


def test_a_put_answers_less_until_2_74() -> None:
    less = set(view(74, As.UPDATED))
    assert not [key for key in less if key.startswith(("OS-EXT", "OS-SRV"))]
    assert "security_groups" not in less
    [entry] = view(74, As.UPDATED)["addresses"]["red"]
    assert set(entry) == {"version", "addr"}
    assert set(view(75, As.UPDATED)) == set(view(75))
    assert "server_groups" not in view(75, As.LISTED)


def test_addresses_are_by_network_in_the_order_of_the_nics_once_it_is_built() -> None:
    found = view()["addresses"]
    assert list(found) == ["blue", "red"]
    assert [(entry["version"], entry["addr"]) for entry in found["blue"]] == [(4, "10.0.0.2"), (6, "fd00::2")]
    assert found["red"][0]["OS-EXT-IPS-MAC:mac_addr"] == "fa:16:3e:00:00:01"
    building = view(life=Life(VmState.BUILDING, TaskState.SPAWNING, PowerState.NOSTATE))
    assert building["addresses"] == {}
    assert (building["status"], building["progress"], building["OS-EXT-STS:task_state"]) == ("BUILD", 0, "spawning")


def test_times_are_written_as_clients_parse_them() -> None:
    assert view()["created"] == "2026-01-02T03:04:05Z"
    assert view()["OS-SRV-USG:launched_at"] == "2026-01-02T03:04:05.000678"


def test_a_fault_shows_its_details_to_admins_only_and_only_in_error() -> None:
    fault = Fault(500, "Failed to allocate the network(s): …", AT, "on host h1")
    error = Life(VmState.ERROR, None, PowerState.NOSTATE)
    assert "fault" not in view(fault=fault)
    shown = view(fault=fault, life=error)
    assert (set(shown["fault"]), shown["status"]) == ({"code", "created", "message"}, "ERROR")
    assert "progress" not in shown
    assert view(is_admin=True, fault=fault, life=error)["fault"]["details"] == "on host h1"


def test_the_host_has_another_name_in_each_project() -> None:
    assert len(view()["hostId"]) == 56
    assert view()["hostId"] != view(project=ProjectId("q"))["hostId"]
    assert view(host=None)["hostId"] == ""


def test_a_server_without_image_or_nic_says_so() -> None:
    assert view(image=None)["image"] == ""
    assert "security_groups" not in view(nics_wanted=())
