"""The schemas that clients may ask for: what an image is, in JSON schema's words."""

from typing import Any

from moorage.domain.image import ImageStatus, Visibility

_TEXT: dict[str, Any] = {"type": ["null", "string"]}
_READ_ONLY_TEXT = {**_TEXT, "readOnly": True}
_PROPERTIES: dict[str, Any] = {
    "id": {"type": "string"},
    "name": {**_TEXT, "maxLength": 255},
    "status": {"type": "string", "readOnly": True, "enum": [status.value for status in ImageStatus]},
    "visibility": {"type": "string", "enum": [visibility.value for visibility in Visibility]},
    "protected": {"type": "boolean"},
    "os_hidden": {"type": "boolean"},
    "checksum": _READ_ONLY_TEXT,
    "os_hash_algo": _READ_ONLY_TEXT,
    "os_hash_value": _READ_ONLY_TEXT,
    "owner": _TEXT,
    "size": {"type": ["null", "integer"], "readOnly": True},
    "virtual_size": {"type": ["null", "integer"], "readOnly": True},
    "container_format": _TEXT,
    "disk_format": _TEXT,
    "min_ram": {"type": "integer"},
    "min_disk": {"type": "integer"},
    "created_at": {"type": "string", "readOnly": True},
    "updated_at": {"type": "string", "readOnly": True},
    "tags": {"type": "array", "items": {"type": "string", "maxLength": 255}},
    "file": _READ_ONLY_TEXT,
    "self": _READ_ONLY_TEXT,
    "schema": _READ_ONLY_TEXT,
}
IMAGE: dict[str, Any] = {"name": "image", "properties": _PROPERTIES, "additionalProperties": {"type": "string"}}
MEMBER: dict[str, Any] = {
    "name": "member",
    "properties": {
        name: {"type": "string"} for name in ("created_at", "image_id", "member_id", "schema", "status", "updated_at")
    },
}


def _list_of(item: dict[str, Any]) -> dict[str, Any]:
    plural = f"{item['name']}s"
    links = {name: {"type": "string"} for name in ("first", "next", "schema")}
    return {"name": plural, "properties": {plural: {"type": "array", "items": item}, **links}}


SCHEMAS = {"image": IMAGE, "images": _list_of(IMAGE), "member": MEMBER, "members": _list_of(MEMBER)}
