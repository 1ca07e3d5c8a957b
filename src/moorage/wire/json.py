"""JSON bodies read into types: unknown keys refused by the type, mistakes told in one line."""

from typing import Any, TypeVar

import msgspec

from moorage.domain.errors import Invalid

T = TypeVar("T")


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A request body or a part of one: keys that are not fields are refused."""


def read(raw: bytes, kind: type[T]) -> T:
    """`raw` as a `kind`. Raises Invalid, saying which field is wrong and how."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise Invalid(f"Invalid input: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"The request body is not JSON that can be read: {error}") from error


def convert(value: Any, kind: type[T]) -> T:
    """A decoded value as a `kind`. Raises Invalid."""
    try:
        return msgspec.convert(value, type=kind)
    except msgspec.ValidationError as error:
        raise Invalid(f"Invalid input: {error}") from error


def dump(value: Any) -> bytes:
    return msgspec.json.encode(value)
