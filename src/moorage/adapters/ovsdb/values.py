"""OVSDB's notation of values in JSON (RFC 7047, section 5.1), and back."""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

Atom = str | int | float | bool
Value = Atom | None | tuple[Atom, ...] | dict[Atom, Atom]


class Kind(Enum):
    """How many values a column holds, which decides how it is written and how a change of it is told."""

    ONE = "one"
    OPTIONAL = "optional"
    SET = "set"
    MAP = "map"


EMPTY: Mapping[Kind, Value] = {Kind.ONE: "", Kind.OPTIONAL: None, Kind.SET: (), Kind.MAP: {}}  # is left out of a row


def read(kind: Kind, notation: Any) -> Value:
    """A column's value as the server wrote it; a row's reference is its UUID."""
    if kind is Kind.MAP:
        return {_atom(key): _atom(value) for key, value in notation[1]}
    if isinstance(notation, list) and notation[0] == "set":
        members = tuple(_atom(member) for member in notation[1])
    else:
        members = (_atom(notation),)
    if kind is Kind.SET:
        return members
    return members[0] if members else None


def _atom(notation: Any) -> Atom:
    if isinstance(notation, list):  # ["uuid", …]
        uuid: str = notation[1]
        return uuid
    atom: Atom = notation
    return atom


def uuid(row: str) -> list[str]:
    return ["uuid", row]


def named(row: str) -> list[str]:
    """A row that is inserted in the same transaction."""
    return ["named-uuid", row]


def set_of(members: Iterable[Any]) -> list[Any]:
    return ["set", list(members)]


def map_of(entries: Mapping[str, str]) -> list[Any]:
    return ["map", [[key, value] for key, value in entries.items()]]
