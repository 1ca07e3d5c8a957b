"""docs/settings.md, made from the types of settings: `python -m moorage.app.settings_page` prints it."""

import inspect
from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec
from msgspec import NODEFAULT
from msgspec import inspect as types

from moorage.app.config import OPTIONS, PLACES, CloudSettings
from moorage.app.serving.settings import PasswordSettings, ServeSettings

_HEAD = """\
# Settings

<!-- made from src/moorage/app/config.py and src/moorage/app/serving/settings.py by script/fix -->

An unknown name, a wrong type or a value out of its range is refused when the command starts.

## `moorage up --config FILE`

An option of the command goes before the file.

```toml
host_kind = "netns"
vif_plugging_timeout = 30.0

[simulated]
resume = 0.5
```
"""
_SERVE = """\
## `moorage serve WHAT --config FILE`

One file may be for all processes of a machine: each reads the table of its name, and those that they share.
`moorage config check FILE` names all that is wrong with it, `moorage config show FILE` what holds.

A *password* is a table `{ password_file = "/a/path" }`, a file with the password that nobody else may read, or
`{ password_env = "NAME" }`, the environment's variable that holds it. No secret stands in the settings themselves.
"""


def settings_page() -> str:
    """The page, ending in one line feed."""
    up = [_HEAD, *_rows(CloudSettings, with_options=True), *_tables(CloudSettings, {})]
    serve = [_SERVE, *_rows(ServeSettings), *_tables(ServeSettings, {})]
    return "\n".join([*up, *serve])


def _tables(kind: type[msgspec.Struct], known: dict[type[msgspec.Struct], str], prefix: str = "") -> Iterator[str]:
    """Each table of the settings; what is told once is only named when it comes again."""
    for field in _fields(kind):
        inner = _table(field.type)
        if inner is None or (prefix and (inner is PasswordSettings or inner in known)):
            continue
        name = prefix + field.encode_name
        yield f"### `[{name}]`\n"
        yield f"{_of(field) or inspect.getdoc(inner)}\n"
        if inner in known:
            yield f"As {known[inner]}.\n"
            continue
        known[inner] = f"`[{name}]`"
        yield from _rows(inner, known=known)
        yield from _tables(inner, known, f"{name}.")


def _rows(
    kind: type[msgspec.Struct],
    *,
    with_options: bool = False,
    known: dict[type[msgspec.Struct], str] | None = None,
) -> Iterator[str]:
    option = " option |" if with_options else ""
    yield f"| setting | type | default |{option} meaning |\n|---|---|---|{'---|' if with_options else ''}---|"
    if known is not None and issubclass(kind, PasswordSettings):
        yield "| `password_file`, `password_env` | password | | Of the user in the URL. |"
    for field in _fields(kind):
        inner = _table(field.type)
        is_chosen_by_command = kind is CloudSettings and field.name in PLACES
        if is_chosen_by_command or field.name.startswith("password_"):
            continue
        if inner is not None and inner is not PasswordSettings and (known is None or inner not in known):
            continue  # a table of its own
        shown = [f"`{field.encode_name}`", _type(field.type, known or {}), _default(field)]
        if with_options:
            shown.append(f"`{OPTIONS[field.name]}`" if field.name in OPTIONS else "")
        yield f"| {' | '.join([*shown, _of(field)])} |"
    yield ""


def _of(field: types.Field) -> str:
    found = field.type
    if isinstance(found, types.Metadata) and found.extra_json_schema:
        return str(found.extra_json_schema["description"])
    assert _table(field.type) is not None, f"{field.name} has no description"
    return ""


def _type(found: types.Type, known: dict[type[msgspec.Struct], str]) -> str:
    match _bare(found):
        case types.BoolType():
            return "true, false"
        case types.EnumType(cls=cls):
            return ", ".join(f'`"{word.value}"`' for word in cls)
        case types.IntType(ge=ge, le=le):
            return f"whole number{_range(ge, le)}"
        case types.FloatType(ge=ge, le=le):
            return f"number{_range(ge, le)}"
        case types.StrType():
            return "text"
        case types.CustomType():
            return "path"
        case types.StructType(cls=cls):
            return "password" if cls is PasswordSettings else f"table, as {known[cls]}"
        case other:
            raise AssertionError(f"say how a {other} is shown")


def _range(least: float | None, most: float | None) -> str:
    return "" if least is None or most is None else f", {least:g} … {most:.6g}"


def _bare(found: types.Type) -> types.Type:
    if isinstance(found, types.Metadata):
        return _bare(found.type)
    if isinstance(found, types.UnionType):
        [kind] = [kind for kind in found.types if not isinstance(kind, types.NoneType)]
        return _bare(kind)
    return found


def _table(found: types.Type) -> type[msgspec.Struct] | None:
    bare = _bare(found)
    return bare.cls if isinstance(bare, types.StructType) else None


def _default(field: types.Field) -> str:
    value: Any = field.default.value if isinstance(field.default, Enum) else field.default
    return "" if value is NODEFAULT or value is None else f"`{msgspec.json.encode(value, enc_hook=str).decode()}`"


def _fields(kind: type[msgspec.Struct]) -> tuple[types.Field, ...]:
    described = types.type_info(kind)
    assert isinstance(described, types.StructType)
    return described.fields


if __name__ == "__main__":
    print(settings_page(), end="")  # noqa: T201 - that is what it is for
