"""A limit around each call of a seam: whatever hangs inside an adapter is Unavailable in time, and waits for nobody."""

import asyncio
import inspect
from collections.abc import Mapping, Sized
from typing import Any, TypeVar, cast

from moorage.domain.errors import Unavailable

T = TypeVar("T")

CALL = 10.0  # seconds, for one call
STORE = 5.0  # seconds, for one transaction: less than who waits for what it is part of
EACH = 0.05  # seconds more for each of the many things that one call is given

Others = Mapping[str, float | None]
ON_THE_BUS: Others = {"cast": 5.0, "call": None, "serve": None}  # who calls says how long
GUESTS: Others = {"create_stopped": 30.0}  # a disk, devices and a process, each with a limit of its own
IMAGES: Others = {"fetch": None}  # as long as its data comes: each piece has a limit
OUTBOX: Others = {"appended": None}  # a wait for news


def limited(who: str, seam: T, *, seconds: float = CALL, but: Others = {}) -> T:  # noqa: B006 - never written
    """`seam`, each of its calls cancelled after `seconds` (`but` those named there) with Unavailable, in `who`'s name.

    A call that is given `patience`, or many things at once, has so much more. An adapter knows better how long each of
    its own steps may take; this is for what it has not thought of.
    """
    return cast(T, _Limited(who, seam, seconds, but))


class _Limited:
    def __init__(self, who: str, seam: object, seconds: float, but: Others) -> None:
        self._who = who
        self._seam = seam
        self._seconds = seconds
        self._but = but

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._seam, name)
        usual = self._but.get(name, self._seconds)
        if usual is None or not inspect.iscoroutinefunction(method):
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            limit = usual + kwargs.get("patience", 0.0) + EACH * _many(*args)
            within = asyncio.timeout(limit)
            try:
                async with within:
                    return await method(*args, **kwargs)
            except TimeoutError as error:
                if within.expired():
                    raise Unavailable(f"{self._who} did not answer {name} within {limit:g} s") from error
                raise

        return call


def _many(first: object = None, *_others: object) -> int:
    """How many things a call is given, when it is given many."""
    return len(first) if isinstance(first, Sized) and not isinstance(first, (str, bytes)) else 0
