"""Passwords for story tests and simulations: salted SHA-256, at once. Never for people's passwords."""

from hashlib import sha256
from hmac import compare_digest
from secrets import token_hex


class MemoryPasswords:
    """Fulfils seams.passwords.Passwords without threads, so that virtual time may pass over it."""

    async def hash(self, password: str) -> str:
        return self._made_with(token_hex(8), password)

    async def matches(self, password: str, hashed: str | None) -> bool:
        salt = (hashed or "").partition("$")[0]
        return compare_digest(self._made_with(salt, password), hashed or "")

    @staticmethod
    def _made_with(salt: str, password: str) -> str:
        return f"{salt}${sha256(f'{salt}{password}'.encode()).hexdigest()}"
