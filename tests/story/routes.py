"""Every route of a cloud, found in its applications: what is served is what is tried."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from types import CodeType, ModuleType
from typing import Any

import falcon.asgi
from falcon.inspect import inspect_routes

from moorage.app.control_plane import ControlPlane
from moorage.wire.json import Body


@dataclass(frozen=True)
class Route:
    """One path of one service, with a name in braces for each part that is a variable."""

    service: str
    path: str  # as clients see it
    methods: Sequence[str]
    resource: object

    def modules(self) -> Iterator[ModuleType]:
        """Where its resource is written, and what of its service that uses."""
        home = sys.modules[type(self.resource).__module__]
        yield home
        package = ".".join(home.__name__.split(".")[:2]) + "."
        for thing in vars(home).values():
            name = thing.__name__ if isinstance(thing, ModuleType) else str(getattr(thing, "__module__", ""))
            if name.startswith(package):
                yield sys.modules[name]

    def bodies(self) -> Sequence[type[Body]]:
        """The types of bodies that its resource holds, or that its module knows."""
        near = [*_held(self.resource), *vars(sys.modules[type(self.resource).__module__]).values()]
        found = [thing for thing in near if isinstance(thing, type) and issubclass(thing, Body) and thing is not Body]
        return sorted(set(found), key=lambda body: body.__name__)

    def envelopes(self) -> Sequence[str]:
        """Words that a body may be put below: those that its resource holds, and the keys of its module's tables."""
        home = vars(sys.modules[type(self.resource).__module__])
        tables = [key for name, table in home.items() if name.isupper() and isinstance(table, dict) for key in table]
        words = {word for word in (*_held(self.resource), *tables) if isinstance(word, str) and _is_word(word)}
        return sorted(words)

    def words(self) -> Sequence[str]:
        """The constants of its code that may be a key or a value in a query."""
        return sorted({word for module in self.modules() for word in _words_of(module)})


def routes_of(plane: ControlPlane) -> list[Route]:
    """All of them, of all services."""
    found = []
    for part in plane.services:
        app: Any = part.app if isinstance(part.app, falcon.asgi.App) else part.app.app  # type: ignore[attr-defined]
        for info in inspect_routes(app):
            methods = sorted(method.method for method in info.methods if not method.internal)
            resource, *_ = app._router.find(info.path)
            found.append(Route(part.name, f"/{part.name}{info.path}", methods, resource))
    return found


@cache
def _words_of(module: ModuleType) -> frozenset[str]:
    found: set[str] = set()
    for name, thing in vars(module).items():
        members = vars(thing).values() if isinstance(thing, type) else (thing,)
        for code in [getattr(member, "__code__", None) for member in members]:
            if isinstance(code, CodeType):
                found.update(_constants(code))
        if name.isupper():
            found.update(_strings(thing))
    return frozenset(found)


def _held(resource: object, depth: int = 2) -> Iterator[object]:
    for value in getattr(resource, "__dict__", {}).values():
        yield value
        if depth and not isinstance(value, type) and type(value).__module__.startswith("moorage."):
            yield from _held(value, depth - 1)


def _constants(code: CodeType) -> Iterator[str]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _constants(constant)
        else:
            yield from _strings(constant)


def _strings(thing: object) -> Iterator[str]:
    match thing:
        case str():
            words = thing.split()
            if all(map(_is_word, words)):
                yield from words
        case tuple() | list() | set() | frozenset() | dict():
            for one in thing:
                yield from _strings(one)


def _is_word(text: str) -> bool:
    return 0 < len(text) <= 40 and text[0].isalpha() and all(letter.isalnum() or letter in "_:-" for letter in text)
