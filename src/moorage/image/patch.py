"""PATCH of an image, in both of its dialects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from moorage.domain.errors import Conflict, Invalid
from moorage.domain.image import Image
from moorage.image.fields import READ_ONLY, SETTABLE, changed, check_property, without
from moorage.wire.json import read

V20 = "application/openstack-images-v2.0-json-patch"  # {"replace": "/name", "value": …}
V21 = "application/openstack-images-v2.1-json-patch"  # {"op": "replace", "path": "/name", "value": …}
VERBS = ("add", "replace", "remove")


@dataclass(frozen=True)
class Change:
    """One step of a patch; `value` means nothing when removing."""

    verb: str
    name: str
    value: Any = None


def read_patch(raw: bytes, dialect: str) -> list[Change]:
    """The steps of a patch. Raises Invalid."""
    steps = read(raw, list[dict[str, Any]])
    return [_step(step, dialect) for step in steps]


def _step(step: dict[str, Any], dialect: str) -> Change:
    if dialect == V21:
        verb, path, known = step.get("op"), step.get("path"), {"op", "path", "value"}
    else:
        verbs = [verb for verb in VERBS if verb in step]
        if len(verbs) != 1:
            raise Invalid("Invalid input: each operation needs exactly one of 'add', 'replace' and 'remove'.")
        verb, path, known = verbs[0], step[verbs[0]], {verbs[0], "value"}
    if verb not in VERBS:
        raise Invalid(f"Invalid input: operations are 'add', 'replace' and 'remove', not '{verb}'.")
    if set(step) - known:
        raise Invalid(f"Invalid input: an operation knows no '{min(set(step) - known)}'.")
    if verb != "remove" and "value" not in step:
        raise Invalid(f"Invalid input: operation '{verb}' needs a 'value'.")
    return Change(verb, _name(path), step.get("value"))


def _name(path: object) -> str:
    """The field that a JSON pointer points to (RFC 6901). Raises Invalid."""
    if not isinstance(path, str) or not path.startswith("/") or len(path) < 2:
        raise Invalid(f"Invalid input: '{path}' is no path: it must begin with '/' and name a field.")
    if "/" in path[1:]:
        raise Invalid(f"Invalid input: '{path}' goes deeper than the fields of an image.")
    return path[1:].replace("~1", "/").replace("~0", "~")


def patched(image: Image, steps: Sequence[Change]) -> Image:
    """The image after all steps. Raises Invalid, Forbidden, Conflict for a property that is not there."""
    for step in steps:
        image = _after(image, step)
    return image


def _after(image: Image, step: Change) -> Image:
    if step.name not in SETTABLE and step.name not in READ_ONLY:
        check_property(step.name, step.value if step.verb != "remove" else "")
        if step.verb != "add" and step.name not in image.properties:
            raise Conflict(f"Property {step.name} does not exist.")
    if step.verb == "remove":
        return without(image, step.name)
    return changed(image, step.name, step.value)
