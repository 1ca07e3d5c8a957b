"""Argon2id off the event loop, one at a time: a login costs 19 MiB and some 20 ms, not the loop's patience."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_hex

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from moorage.domain.errors import Unavailable

MAX_WAITING = 256  # some five seconds of work


class ArgonPasswords:
    """Fulfils seams.passwords.Passwords."""

    def __init__(self) -> None:
        # OWASP's "Password Storage Cheat Sheet": 19 MiB, two passes, one lane.
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._one = asyncio.Semaphore(1)
        self._waiting = 0
        self._decoy = ""

    async def hash(self, password: str) -> str:
        async with self._turn():
            return await asyncio.to_thread(self._hasher.hash, password)

    async def matches(self, password: str, hashed: str | None) -> bool:
        async with self._turn():
            return await asyncio.to_thread(self._matches, password, hashed)

    def _matches(self, password: str, hashed: str | None) -> bool:
        if not self._decoy:
            self._decoy = self._hasher.hash(token_hex(16))
        try:
            return self._hasher.verify(hashed or self._decoy, password) and bool(hashed)
        except (VerificationError, InvalidHashError):
            return False

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """The right to hash, after those who asked before; the queue has an end."""
        if self._waiting >= MAX_WAITING:
            raise Unavailable("checking a password: too many are waiting, try again")
        self._waiting += 1
        try:
            async with self._one:
                yield
        finally:
            self._waiting -= 1
