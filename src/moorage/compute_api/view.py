"""How compute's things look in the API at each microversion: pure functions of thing, caller and version."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha224
from typing import Any

from moorage.domain.action import InstanceAction
from moorage.domain.scheduling import HostState
from moorage.domain.server import Flavor, NicInfo, Server, VmState, status
from moorage.seams.server_store import Keypair
from moorage.wire.times import bare, zulu

Json = dict[str, Any]

PROGRESS = {"ACTIVE": 100, "BUILD": 0, "REBUILD": 0, "RESIZE": 0, "VERIFY_RESIZE": 100, "MIGRATING": 0}


class As(StrEnum):
    """Where a server is shown: each place has its own set of keys."""

    SHOWN = "shown"
    LISTED = "listed"
    UPDATED = "updated"


@dataclass(frozen=True)
class Eye:
    """Who looks: the service's URL as the caller reached it, the minor microversion, the role."""

    base: str
    minor: int
    is_admin: bool

    def self_link(self, path: str) -> Json:
        return {"rel": "self", "href": f"{self.base}/v2.1/{path}"}

    def bookmark(self, path: str) -> Json:
        return {"rel": "bookmark", "href": f"{self.base}/{path}"}

    def links(self, path: str) -> list[Json]:
        return [self.self_link(path), self.bookmark(path)]


def host_id(server: Server) -> str:
    """A name for the host that is different in each project, so that nobody learns who else is there."""
    return sha224(f"{server.project}{server.host}".encode()).hexdigest() if server.host else ""


def addresses(nics: Iterable[NicInfo], *, is_extended: bool) -> dict[str, list[Json]]:
    """By the network's name, in the order of the NICs; `is_extended` with kind and MAC."""
    found: dict[str, list[Json]] = {}
    for nic in nics:
        more = {"OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": nic.mac_address} if is_extended else {}
        for address in nic.addresses:
            entry = {"version": 6 if ":" in address else 4, "addr": address, **more}
            found.setdefault(nic.network_name, []).append(entry)
    return found


def shown_nics(server: Server) -> Sequence[NicInfo]:
    """None while it is building, as Nova has it."""
    return () if server.life.vm is VmState.BUILDING else server.nics


def server_summary(server: Server, eye: Eye) -> Json:
    return {"id": server.id, "name": server.name, "links": eye.links(f"servers/{server.id}")}


def server_view(server: Server, eye: Eye, place: As = As.SHOWN, host_status: str = "") -> Json:
    """A server. `host_status` (UP, DOWN, MAINTENANCE, UNKNOWN) is for admins from 2.16 on."""
    minor, word = eye.minor, status(server.life)
    view: Json = {
        "id": server.id,
        "name": server.name,
        "status": word,
        "tenant_id": server.project,
        "user_id": server.user,
        "metadata": dict(server.metadata),
        "hostId": host_id(server),
        "image": {"id": server.image, "links": [eye.bookmark(f"images/{server.image}")]} if server.image else "",
        "flavor": _flavor_in_server(server.flavor, eye),
        "created": zulu(server.created),
        "updated": zulu(server.updated),
        "addresses": addresses(shown_nics(server), is_extended=place is not As.UPDATED or minor >= 75),
        "accessIPv4": server.access_ip_v4,
        "accessIPv6": server.access_ip_v6,
        "links": eye.links(f"servers/{server.id}"),
        "OS-DCF:diskConfig": server.disk_config,
    }
    if word in PROGRESS:
        view["progress"] = PROGRESS[word]
    if word in {"ERROR", "DELETED"} and server.fault is not None:
        view["fault"] = fault_view(server, eye)
    if minor >= 9:
        view["locked"] = server.is_locked
    if minor >= 19:
        view["description"] = server.description
    if minor >= 26:
        view["tags"] = list(server.tags)
    if minor >= 63:
        view["trusted_image_certificates"] = None
    if minor >= 71 and place is not As.LISTED:
        view["server_groups"] = []
    if minor >= 73:
        view["locked_reason"] = server.locked_reason
    if place is not As.UPDATED or minor >= 75:
        view |= _rest_of(server, eye, host_status)
    return view


def _rest_of(server: Server, eye: Eye, host_status: str) -> Json:
    """What a PUT does not answer below 2.75."""
    minor = eye.minor
    view: Json = {
        "key_name": server.key_name,
        "config_drive": server.config_drive,
        "OS-EXT-AZ:availability_zone": server.availability_zone if server.host else "",
        "OS-EXT-STS:task_state": server.life.task.value if server.life.task is not None else None,
        "OS-EXT-STS:vm_state": server.life.vm.value,
        "OS-EXT-STS:power_state": int(server.life.power),
        "OS-SRV-USG:launched_at": bare(server.launched_at) if server.launched_at else None,
        "OS-SRV-USG:terminated_at": bare(server.terminated_at) if server.terminated_at else None,
        "os-extended-volumes:volumes_attached": [],
    }
    groups = group_names(server)
    if groups and server.life.vm is not VmState.BUILDING:
        view["security_groups"] = groups
    if eye.is_admin:
        view |= {
            "OS-EXT-SRV-ATTR:host": server.host,
            "OS-EXT-SRV-ATTR:instance_name": f"instance-{server.id[:8]}",
            "OS-EXT-SRV-ATTR:hypervisor_hostname": server.host,
        }
        if minor >= 3:
            view |= {
                "OS-EXT-SRV-ATTR:hostname": server.hostname,
                "OS-EXT-SRV-ATTR:kernel_id": "",
                "OS-EXT-SRV-ATTR:ramdisk_id": "",
                "OS-EXT-SRV-ATTR:launch_index": server.launch_index,
                "OS-EXT-SRV-ATTR:reservation_id": server.reservation_id,
                "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
                "OS-EXT-SRV-ATTR:user_data": server.user_data,
            }
        if minor >= 16:
            view["host_status"] = host_status
    elif minor >= 90:
        view["OS-EXT-SRV-ATTR:hostname"] = server.hostname
    if minor >= 96:
        view["pinned_availability_zone"] = server.extra.get("pinned_zone")
    return view


def fault_view(server: Server, eye: Eye) -> Json:
    """The fault; its details name hosts and agents, and are for admins."""
    assert server.fault is not None
    fault: Json = {
        "code": server.fault.code,
        "created": zulu(server.fault.created),
        "message": server.fault.message,
    }
    if eye.is_admin and server.fault.details:
        fault["details"] = server.fault.details
    return fault


def group_names(server: Server) -> list[Json]:
    """The security groups by name; the project's default one while no other was asked for."""
    default = ["default"] if server.nics_wanted else []
    names = server.extra.get("groups", server.extra.get("group_names") or default)  # group_names: of earlier versions
    return [{"name": name} for name in names]


def host_status_of(state: HostState | None, now: datetime) -> str:
    if state is None:
        return ""
    if not state.is_enabled:
        return "MAINTENANCE"
    return "UP" if state.is_alive(now) else "DOWN"


def _flavor_in_server(flavor: Flavor, eye: Eye) -> Json:
    if eye.minor < 47:
        return {"id": flavor.id, "links": [eye.bookmark(f"flavors/{flavor.id}")]}
    return {
        "vcpus": flavor.vcpus,
        "ram": flavor.ram,
        "disk": flavor.disk,
        "ephemeral": flavor.ephemeral,
        "swap": flavor.swap,
        "original_name": flavor.name,
        "extra_specs": dict(flavor.extra_specs),
    }


def flavor_summary(flavor: Flavor, eye: Eye) -> Json:
    view: Json = {"id": flavor.id, "name": flavor.name, "links": eye.links(f"flavors/{flavor.id}")}
    if eye.minor >= 55:
        view["description"] = flavor.description
    return view


def flavor_view(flavor: Flavor, eye: Eye) -> Json:
    view: Json = {
        "id": flavor.id,
        "name": flavor.name,
        "ram": flavor.ram,
        "vcpus": flavor.vcpus,
        "disk": flavor.disk,
        "swap": flavor.swap or (0 if eye.minor >= 75 else ""),
        "OS-FLV-DISABLED:disabled": False,
        "OS-FLV-EXT-DATA:ephemeral": flavor.ephemeral,
        "os-flavor-access:is_public": flavor.is_public,
        "rxtx_factor": flavor.rxtx_factor,
        "links": eye.links(f"flavors/{flavor.id}"),
    }
    if eye.minor >= 55:
        view["description"] = flavor.description
    if eye.minor >= 61:
        view["extra_specs"] = dict(flavor.extra_specs)
    return view


def keypair_summary(keypair: Keypair, eye: Eye) -> Json:
    view: Json = {
        "name": keypair.name,
        "public_key": keypair.public_key,
        "fingerprint": keypair.fingerprint,
    }
    if eye.minor >= 2:
        view["type"] = keypair.type
    return view


def keypair_view(keypair: Keypair, eye: Eye) -> Json:
    return {
        **keypair_summary(keypair, eye),
        "user_id": keypair.user,
        "id": keypair.id,
        "created_at": bare(keypair.created),
        "deleted": False,
        "deleted_at": None,
        "updated_at": None,
    }


def action_view(action: InstanceAction, eye: Eye) -> Json:
    view: Json = {
        "action": action.action,
        "instance_uuid": action.server,
        "request_id": action.request_id,
        "user_id": action.user,
        "project_id": action.project,
        "start_time": bare(action.started),
        "message": action.message,
    }
    if eye.minor >= 51:
        view["updated_at"] = bare(action.updated)
    return view


def action_detail(action: InstanceAction, eye: Eye) -> Json:
    """An action with its steps: below 2.51 for admins only."""
    view = action_view(action, eye)
    if not eye.is_admin and eye.minor < 51:
        return view
    events = []
    for event in action.events:
        shown: Json = {
            "event": event.name,
            "start_time": bare(event.started),
            "finish_time": bare(event.finished) if event.finished else None,
            "result": event.result,
        }
        if eye.is_admin:
            shown["traceback"] = None
        if eye.minor >= 62:
            if eye.is_admin:
                shown["host"] = event.host
            shown["hostId"] = sha224(f"{action.project}{event.host}".encode()).hexdigest() if event.host else ""
        if eye.minor >= 84:
            shown["details"] = event.details
        events.append(shown)
    view["events"] = events
    return view
