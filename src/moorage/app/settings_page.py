"""docs/settings.md, made from the types in config.py: `python -m moorage.app.settings_page` prints it."""

import inspect
from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec
from msgspec import inspect as types

from moorage.app.config import OPTIONS, PLACES, CloudSettings

_HEAD = """\
# Settings

<!-- made from src/moorage/app/config.py by script/fix -->

`moorage up --config FILE` reads them from a TOML file; an option of the command goes before it. An unknown name, a
wrong type or a value out of its range is refused when the command starts.

```toml
host_kind = "netns"
vif_plugging_timeout = 30.0

[simulated]
resume = 0.5
```
"""


def settings_page() -> str:
    """The page, ending in one line feed."""
    return "\n".join([_HEAD, *_section(CloudSettings, "At the top of the file")])


def _section(kind: type[msgspec.Struct], title: str, prefix: str = "") -> Iterator[str]:
    fields = [field for field in _fields(kind) if field.name not in PLACES]
    inner = [field for field in fields if isinstance(_bare(field.type), types.StructType)]
    yield f"## {title}\n"
    if prefix:
        yield f"{inspect.getdoc(kind)}\n"
    yield "| setting | type | default | option | meaning |\n|---|---|---|---|---|"
    for field in fields:
        if field not in inner:
            yield _row(field, prefix)
    yield ""
    for field in inner:
        bare = _bare(field.type)
        assert isinstance(bare, types.StructType)
        yield from _section(bare.cls, f"`[{field.name}]`", f"{field.name}.")


def _row(field: types.Field, prefix: str) -> str:
    option = OPTIONS.get(prefix + field.name)
    shown = [f"`{field.name}`", _type(field.type), f"`{_default(field)}`", f"`{option}`" if option else "", _of(field)]
    return f"| {' | '.join(shown)} |"


def _of(field: types.Field) -> str:
    assert isinstance(field.type, types.Metadata), f"{field.name} has no description"
    return str((field.type.extra_json_schema or {})["description"])


def _type(found: types.Type) -> str:
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
        case other:
            raise AssertionError(f"say how a {other} is shown")


def _range(least: float | None, most: float | None) -> str:
    return "" if least is None or most is None else f", {least:g} … {most:.6g}"


def _bare(found: types.Type) -> types.Type:
    return _bare(found.type) if isinstance(found, types.Metadata) else found


def _default(field: types.Field) -> str:
    value: Any = field.default.value if isinstance(field.default, Enum) else field.default
    return msgspec.json.encode(value).decode()


def _fields(kind: type[msgspec.Struct]) -> tuple[types.Field, ...]:
    described = types.type_info(kind)
    assert isinstance(described, types.StructType)
    return described.fields


if __name__ == "__main__":
    print(settings_page(), end="")  # noqa: T201 - that is what it is for
