"""Settings as they hold, each with where it came from. Secrets are named, never shown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Struct

from moorage.app.serving.reading import FileSaid
from moorage.app.serving.secrets import source_of
from moorage.app.serving.settings import PasswordSettings

HIDDEN = "(hidden)"


@dataclass(frozen=True)
class Shown:
    """One setting as it holds."""

    name: str  # identity.listen
    value: Any  # as TOML and JSON have it; None: not set
    source: str  # "file", "default", or where a secret is


def shown(said: FileSaid) -> list[Shown]:
    """All settings of the tables that the file has, and of those that all share."""
    assert said.settings is not None, "settings that could not be read are not shown"
    return sorted(_shown(said.settings, said.values, ""), key=lambda one: "." in one.name)  # or a table would own it


def _shown(settings: Struct, values: Mapping[str, Any], prefix: str) -> Iterator[Shown]:
    for field in msgspec.structs.fields(settings):
        name, value = field.encode_name, getattr(settings, field.name)
        if isinstance(value, Struct):
            yield from _shown(value, values.get(name, {}), f"{prefix}{name}.")
        elif isinstance(settings, PasswordSettings) and name in ("password_file", "password_env"):
            continue
        elif value is not None or name in values:
            yield Shown(prefix + name, _plain(value), "file" if name in values else "default")
    if isinstance(settings, PasswordSettings) and (settings.password_file or settings.password_env):
        yield Shown(f"{prefix}password", HIDDEN, source_of(settings))


def _plain(value: Any) -> Any:
    """A value as TOML has it; a URL without the password that it may hold."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str) and "://" in value and "@" in value:
        parts = urlsplit(value)
        user, _, host = parts.netloc.rpartition("@")
        if ":" in user:
            return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:{HIDDEN}@{host}"))
    return value
