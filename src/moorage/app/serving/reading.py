"""A TOML file read into settings: everything that is wrong with it is said at once, each by its name."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
from msgspec import Struct

from moorage.app.serving.settings import ServeSettings
from moorage.domain.errors import Invalid


@dataclass(frozen=True)
class Wrong:
    """One thing that is wrong with a setting, and what to do."""

    name: str  # identity.listen
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.name}: {self.what}; {self.cure}" if self.name else f"{self.what}; {self.cure}"


@dataclass(frozen=True)
class FileSaid:
    """What stands in a file, and what it means; `settings` None when something is wrong with it."""

    path: Path
    values: Mapping[str, Any]
    settings: ServeSettings | None
    wrong: tuple[Wrong, ...]


def read_file(path: Path) -> FileSaid:
    """Raises Invalid for a file that cannot be read, or is no TOML."""
    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} is not TOML: {error}") from error
    wrong = tuple(_wrong(values, ServeSettings))
    return FileSaid(path, values, None if wrong else _converted(values, ServeSettings), wrong)


def _wrong(values: Mapping[str, Any], kind: type[Struct], prefix: str = "") -> Iterator[Wrong]:
    hints = get_type_hints(kind, include_extras=True)
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    meant = set()
    for name in sorted(values.keys() - fields.keys()):
        close = next(iter(difflib.get_close_matches(name, fields.keys() - values.keys(), n=1)), None)
        yield Wrong(prefix + name, "there is no such setting", f"is {close} meant?" if close else _LISTED)
        meant.add(close)
    for name, field in fields.items():
        if name not in values:
            if field.required and name not in meant:
                yield Wrong(prefix + name, "it is missing", _meaning(hints[field.name]))
            continue
        inner = table_of(hints[field.name])
        if inner is not None and isinstance(values[name], dict):
            yield from _wrong(values[name], inner, f"{prefix}{name}.")
            continue
        try:
            _converted(values[name], hints[field.name])
        except msgspec.ValidationError as error:
            yield Wrong(prefix + name, str(error).partition(" - at ")[0], _meaning(hints[field.name]))


_LISTED = "docs/settings.md lists those there are"


def table_of(hint: Any) -> type[Struct] | None:
    """The struct in a field's type, which a table of the file is read into; None for a plain value."""
    if isinstance(hint, type):
        return hint if issubclass(hint, Struct) else None
    return next((found for part in get_args(hint) if (found := table_of(part)) is not None), None)


def _meaning(hint: Any) -> str:
    for part in get_args(hint):
        if isinstance(part, msgspec.Meta) and part.description:
            return part.description.rstrip(".")
    return _LISTED


def _converted(values: Any, kind: Any) -> Any:
    return msgspec.convert(values, kind, dec_hook=lambda kind, value: kind(value))
