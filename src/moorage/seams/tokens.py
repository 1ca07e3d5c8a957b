"""Who is calling: tokens verified, and tokens to call others with."""

from typing import Protocol

from moorage.domain.caller import Caller


class TokenVerifier(Protocol):
    async def verify(self, token: str) -> Caller:
        """Whose token it is. Raises NotFound for one that is unknown, expired or revoked; Unavailable."""


class TokenSource(Protocol):
    async def token(self, *, fresh: bool = False) -> str:
        """A token that is good for at least a minute; `fresh` after one was refused. Raises Unavailable."""
