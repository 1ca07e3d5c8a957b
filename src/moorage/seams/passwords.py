"""Passwords turned into something that may be stored, and compared with it."""

from typing import Protocol


class Passwords(Protocol):
    async def hash(self, password: str) -> str:
        """A salted hash that says how it was made. Raises Unavailable when too many are waiting."""

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Whether `hashed` was made of `password`. None takes as long as a hash would, and never matches.

        Raises Unavailable when too many are waiting.
        """
