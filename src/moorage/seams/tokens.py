"""Who is calling: tokens verified, and tokens to call others with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from moorage.domain.caller import Caller
from moorage.domain.identity import Revocation


class TokenVerifier(Protocol):
    async def verify(self, token: str) -> Caller:
        """Whose token it is. Raises NotFound for one that is unknown, expired or revoked; Unavailable."""


@dataclass(frozen=True)
class Trust:
    """What identity publishes for those who verify its tokens elsewhere."""

    public_key: bytes  # PEM, Ed25519
    revocations: Sequence[Revocation]  # all that still matter


class TrustSource(Protocol):
    async def trust(self) -> Trust:
        """As it is now. Raises Unavailable."""


class TokenSource(Protocol):
    async def token(self, *, refused: str | None = None) -> str:
        """A token that is good for at least a minute; another one than `refused`. Raises Unavailable."""
