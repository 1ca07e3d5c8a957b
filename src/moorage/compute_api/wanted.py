"""What a request for new servers says, read strictly: each rule refuses in words that say what to mend."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

from msgspec import UNSET, UnsetType

from moorage.domain.caller import Caller
from moorage.domain.errors import Exhausted, Invalid
from moorage.domain.ids import HostName, NetworkId, PortId, ProjectId
from moorage.domain.server import Flavor, RequestedNic
from moorage.seams.image_api import ImageInfo
from moorage.seams.network_api import NetworkInfo
from moorage.wire.compute import SINCE, BlockDevice, NetworkWanted, Rebuild, ServerChange, ServerWanted

ZONE = "nova"
MOST_AT_ONCE = 1000  # servers, asked for in one request
NO_VOLUMES = "Moorage has no volumes: only one image booted to a local disk can be asked for."


def require_version(wanted: ServerWanted, minor: int) -> None:
    """Raises Invalid for keys of another microversion."""
    for key, (first, last) in SINCE.items():
        if not first <= minor <= last and getattr(wanted, key) is not UNSET:
            raise Invalid(f"Invalid input for field/attribute server. Additional properties are not allowed ('{key}')")
    if minor >= 37 and wanted.networks is UNSET:
        raise Invalid("Invalid input for field/attribute server. 'networks' is a required property")
    if minor < 37 and isinstance(wanted.networks, str):
        raise Invalid("Invalid input for field/attribute networks: it is not a list")
    if isinstance(wanted.networks, list):
        for entry in wanted.networks:
            if entry.tag is not UNSET and not (minor == 32 or 33 <= minor <= 36 or minor >= 42):
                raise Invalid("Additional properties are not allowed ('tag')")
    if wanted.trusted_image_certificates:
        raise Invalid("Signatures of images are not verified here: trusted_image_certificates cannot be asked for.")
    require_hostname(wanted.hostname, minor)
    if not isinstance(wanted.personality, UnsetType):
        for file in wanted.personality:
            if set(file) != {"path", "contents"} or not is_base64(file["contents"]):
                raise Invalid("Personality file content is not valid base64.")
        if wanted.personality:
            raise Invalid("Personality files are not offered: use user_data.")
    if wanted.name != wanted.name.strip() or not wanted.name.isprintable():
        raise Invalid("Invalid input for field/attribute name: leading or trailing spaces, or unprintable characters.")


def require_hostname(hostname: str | UnsetType, minor: int) -> None:
    """Raises Invalid for what is no host name; from 2.94 on it may have a domain."""
    part = r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    form = rf"{part}(\.{part})*" if minor >= 94 else part
    if not isinstance(hostname, UnsetType) and not re.fullmatch(form, hostname):
        raise Invalid(f"Invalid input for field/attribute hostname. Value: {hostname}.")


def changes_of(change: ServerChange | Rebuild, minor: int) -> Mapping[str, Any]:
    """The fields of a server that a PUT or a rebuild changes. Raises Invalid."""
    given = {key: getattr(change, key) for key in ("name", "description", "hostname", "disk_config")}
    for key, first in (("description", 19), ("hostname", 90)):
        if given[key] is not UNSET and minor < first:
            raise Invalid(f"Additional properties are not allowed ('{key}' was unexpected)")
    require_hostname(change.hostname, minor)
    changes = {key: value for key, value in given.items() if value is not UNSET}
    if "name" in changes and (not changes["name"].strip() or not changes["name"].isprintable()):
        raise Invalid("Invalid input for field/attribute name.")
    for key, checked in (("access_ip_v4", checked_v4), ("access_ip_v6", checked_v6)):
        value = getattr(change, key)
        if value is not UNSET:
            changes[key] = checked(value)
    return changes


def counted(wanted: ServerWanted) -> int:
    """How many servers to make: as many as may be. Raises Invalid, Exhausted."""
    least = number(wanted.min_count, "min_count")
    most = number(wanted.max_count, "max_count") if not isinstance(wanted.max_count, UnsetType) else least
    if least < 1 or most < 1:
        raise Invalid("Invalid input for field/attribute min_count, max_count: a number from 1 on.")
    if least > most:
        raise Invalid("min_count must be <= max_count")
    if most > MOST_AT_ONCE:
        raise Exhausted(f"{most} servers cannot be asked for at once: at most {MOST_AT_ONCE} in one request.")
    return most


def number(value: int | str, name: str) -> int:
    """An integer that may come as digits. Raises Invalid."""
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,1000}", value):
        raise Invalid(f"Invalid input for field/attribute {name}. Value: {value}. It is not an integer.")
    return int(value)


def is_true(value: bool | str) -> bool:
    """OpenStack's way to write a boolean. Raises Invalid."""
    word = str(value).strip().lower()
    if word in {"true", "t", "on", "1", "yes", "y"}:
        return True
    if word in {"false", "f", "off", "0", "no", "n", ""}:
        return False
    raise Invalid(f"Invalid input: '{value}' is not a boolean.")


def placed_where(wanted: ServerWanted, caller: Caller) -> tuple[str, HostName | None]:
    """The zone and the host that were asked for. Raises Invalid, Forbidden."""
    zone, _, rest = (wanted.availability_zone or ZONE).partition(":")
    host = rest.split(":")[0] or None
    for more in (wanted.host, wanted.hypervisor_hostname):
        if not isinstance(more, UnsetType):
            if host is not None and wanted.availability_zone and more != host:
                raise Invalid("A host was asked for twice, and not the same.")
            host = more
    if zone != ZONE:
        raise Invalid("The requested availability zone is not available")
    if host is not None:
        caller.require_admin("os_compute_api:servers:create:forced_host")
    return zone, HostName(host) if host else None


def image_of(wanted: ServerWanted) -> str:
    """The image to boot from. Raises Invalid, which says what is not offered."""
    if wanted.old_block_devices is not UNSET and wanted.old_block_devices:
        raise Invalid(NO_VOLUMES)
    ref = wanted.image_ref if not isinstance(wanted.image_ref, UnsetType) else ""
    ref = last_part(ref)
    if wanted.block_devices:
        ref = image_of_device(wanted.block_devices, ref)
    if not ref and wanted.block_devices:
        raise Invalid(NO_VOLUMES)
    return image_named(ref)


def last_part(ref: str) -> str:
    """The id in a reference, which may be a URL."""
    return ref.rstrip("/").rsplit("/", 1)[-1]


def image_named(ref: str) -> str:
    """The image's id in a reference to it. Raises Invalid."""
    image = last_part(ref)
    if not image:
        raise Invalid("Invalid imageRef provided.")
    if not is_uuid(image):
        raise Invalid(f"Invalid image {image}: it is not a UUID.")
    return image


def image_of_device(devices: Sequence[BlockDevice], ref: str) -> str:
    """OSC says "boot from this image" also as one block device. Raises Invalid for any other use of volumes."""
    device = devices[0]
    uuid = device.uuid or device.image_id or ""
    is_boot = str(device.boot_index) in {"0", "None"} and device.volume_size is None
    if len(devices) > 1 or (device.source_type, device.destination_type) != ("image", "local") or not is_boot:
        raise Invalid(NO_VOLUMES)
    if ref and uuid and uuid != ref:
        raise Invalid("imageRef and block_device_mapping_v2 name different images.")
    return ref or uuid


def require_fitting(flavor: Flavor, image: ImageInfo) -> None:
    """Raises Invalid for a flavor that the image does not fit in; a disk of 0 GiB takes an image as it is."""
    if flavor.ram < image.min_ram:
        raise Invalid("Flavor's memory is too small for requested image.")
    if 0 < flavor.disk < image.min_disk:
        raise Invalid("The created instance's disk would be too small.")


def requested(entry: NetworkWanted) -> RequestedNic:
    """Raises Invalid."""
    port = entry.port if not isinstance(entry.port, UnsetType) else None
    uuid = entry.uuid if not isinstance(entry.uuid, UnsetType) else None
    fixed_ip = entry.fixed_ip if not isinstance(entry.fixed_ip, UnsetType) else None
    if port is not None:
        if not is_uuid(port):
            raise Invalid(f"Bad port format: port uuid is not in proper format ({port})")
        if fixed_ip is not None:
            raise Invalid(f"Specified Fixed IP '{fixed_ip}' cannot be used with port '{port}'.")
        return RequestedNic(port=PortId(port))
    if uuid is None or not is_uuid(uuid):
        raise Invalid(f"Bad networks format: network uuid is not in proper format ({uuid})")
    if fixed_ip is not None:
        fixed_ip = checked_v6(fixed_ip) if ":" in fixed_ip else checked_v4(fixed_ip)
    return RequestedNic(network=NetworkId(uuid), fixed_ip=fixed_ip)


def may_use(network: NetworkInfo, caller: Caller, project: ProjectId) -> bool:
    return network.shared or network.project == project or caller.is_admin


def require_subnet(network: NetworkInfo) -> None:
    if not network.subnets:
        raise Invalid(f"Network {network.id} requires a subnet in order to boot instances on.")


def is_uuid(value: str) -> bool:
    try:
        return str(UUID(value)) == value.lower()
    except ValueError:
        return False


def is_base64(value: str) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def checked_user_data(value: str | None) -> str | None:
    """Raises Invalid unless it is base64."""
    if value is not None and not is_base64(value):
        raise Invalid("User data must be valid base64.")
    return value


def checked_v4(value: str | None) -> str:
    """The address, "" for none. Raises Invalid."""
    try:
        return str(IPv4Address(value)) if value else ""
    except AddressValueError as error:
        raise Invalid(f"'{value}' is not an IPv4 address.") from error


def checked_v6(value: str | None) -> str:
    """The address in its canonical form, "" for none. Raises Invalid."""
    try:
        return str(IPv6Address(value)) if value else ""
    except AddressValueError as error:
        raise Invalid(f"'{value}' is not an IPv6 address.") from error


def hostname_of(wanted: ServerWanted, index: int, count: int) -> str:
    """The name that the guest is told: what was asked for, or the server's name made a host name."""
    given = wanted.hostname if not isinstance(wanted.hostname, UnsetType) else None
    name = given or re.sub(r"[^a-z0-9-]+", "-", wanted.name.lower()).strip("-")[:63]
    return (name or f"server-{index}") if count == 1 else f"{name or 'server'}-{index + 1}"
