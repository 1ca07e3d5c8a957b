"""An image's fields as users write them: made, changed one by one, and shown."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from moorage.domain.errors import Forbidden, Invalid
from moorage.domain.ids import ImageId, ProjectId
from moorage.domain.image import HASH_ALGORITHM, Image, ImageStatus, Visibility
from moorage.wire.json import Body, convert
from moorage.wire.times import zulu

Name = Annotated[str, msgspec.Meta(max_length=255)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
DiskFormat = Literal["ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"]
ContainerFormat = Literal["ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"]
MAX_PROPERTIES = 128
MAX_TAGS = 128
IMAGE_IDS = frozenset({"kernel_id", "ramdisk_id"})  # properties that name other images: nothing else may stand there
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
RESERVED = "os_glance_"  # Glance keeps names that begin so for itself

# ours for theirs, where they differ
OURS = {"protected": "is_protected", "os_hidden": "is_hidden"}
READ_ONLY = frozenset(
    {
        "checksum",
        "created_at",
        "direct_url",
        "file",
        "id",
        "locations",
        "os_hash_algo",
        "os_hash_value",
        "owner",
        "schema",
        "self",
        "size",
        "status",
        "stores",
        "updated_at",
        "virtual_size",
    }
)


class Fields(Body):
    """What a user may set by name; everything else in a body is a property."""

    name: Name | None = None
    visibility: Visibility = Visibility.SHARED
    disk_format: DiskFormat | None = None
    container_format: ContainerFormat | None = None
    min_disk: Count = 0
    min_ram: Count = 0
    protected: bool = False
    os_hidden: bool = False
    tags: list[Name] = msgspec.field(default_factory=list)


SETTABLE = frozenset(Fields.__struct_fields__)


def check_property(name: str, value: object) -> str:
    """`value` as a property. Raises Invalid, Forbidden for names that are not the user's to set."""
    if name in READ_ONLY:
        raise Forbidden(f"Attribute '{name}' is read-only.")
    if name.startswith(RESERVED):
        raise Forbidden(f"Attribute '{name}' is reserved.")
    if not 0 < len(name) <= 255:
        raise Invalid("Invalid input: a property's name has 1 to 255 characters.")
    if not isinstance(value, str):
        raise Invalid(f"Invalid input: property '{name}' must be a string.")
    if len(value) > 65_535:
        raise Invalid(f"Invalid input: property '{name}' is longer than 65535 characters.")
    return value


def _property(name: str, value: object) -> str:
    checked = check_property(name, value)
    if name in IMAGE_IDS and not UUID.fullmatch(checked):
        raise Invalid(f"Invalid input: property '{name}' must be an image's id, a UUID.")
    return checked


def made(body: Mapping[str, Any], id: ImageId, owner: ProjectId, now: datetime) -> Image:
    """The image that `body` asks for. Raises Invalid, Forbidden."""
    fields = convert({name: value for name, value in body.items() if name in SETTABLE}, Fields)
    properties = {name: _property(name, value) for name, value in body.items() if name not in SETTABLE and name != "id"}
    image = Image(id=id, name=fields.name, owner=owner, created_at=now, updated_at=now, properties=properties)
    for name in SETTABLE & set(body):
        image = _with(image, name, getattr(fields, name))
    return _sound(image)


def changed(image: Image, name: str, value: object) -> Image:
    """The image with one field or property set. Raises Invalid, Forbidden."""
    if name not in SETTABLE:
        return _sound(replace(image, properties={**image.properties, name: _property(name, value)}))
    if name in ("disk_format", "container_format") and image.status is not ImageStatus.QUEUED:
        raise Forbidden(f"Attribute '{name}' can be replaced only for a queued image.")
    return _sound(_with(image, name, getattr(convert({name: value}, Fields), name)))


def without(image: Image, name: str) -> Image:
    """The image without a property. Raises Forbidden for what every image has."""
    if name in SETTABLE or name in READ_ONLY:
        raise Forbidden(f"Property {name} may not be removed.")
    return replace(image, properties={key: value for key, value in image.properties.items() if key != name})


def _with(image: Image, name: str, value: Any) -> Image:
    if name == "tags":
        value = tuple(dict.fromkeys(value))
    field: dict[str, Any] = {OURS.get(name, name): value}
    return replace(image, **field)


def _sound(image: Image) -> Image:
    if len(image.properties) > MAX_PROPERTIES:
        raise Invalid(f"Invalid input: an image has at most {MAX_PROPERTIES} properties.")
    if len(image.tags) > MAX_TAGS:
        raise Invalid(f"Invalid input: an image has at most {MAX_TAGS} tags.")
    kinds = {"ami", "ari", "aki"}  # Glance: these go with themselves
    if image.disk_format in kinds and image.container_format not in (image.disk_format, None):
        raise Invalid(
            f"Invalid combination of disk and container formats: '{image.disk_format}' goes with itself only."
        )
    return image


def view(image: Image) -> dict[str, Any]:
    """The image as the API shows it: fields and properties side by side."""
    return {
        **image.properties,
        "id": image.id,
        "name": image.name,
        "status": image.status.value,
        "visibility": image.visibility.value,
        "size": image.size,
        "virtual_size": image.size if image.disk_format == "raw" else None,
        "checksum": image.checksum,
        "os_hash_algo": HASH_ALGORITHM if image.hash_value is not None else None,
        "os_hash_value": image.hash_value,
        "os_hidden": image.is_hidden,
        "protected": image.is_protected,
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "owner": image.owner,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "created_at": zulu(image.created_at),
        "updated_at": zulu(image.updated_at),
        "tags": sorted(image.tags),
        "file": f"/v2/images/{image.id}/file",
        "self": f"/v2/images/{image.id}",
        "schema": "/v2/schemas/image",
    }
