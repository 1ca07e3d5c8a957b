"""Who bears a token: the signature is checked once, its life and its revocation every time."""

from collections import OrderedDict
from datetime import datetime

from moorage.domain.caller import Caller
from moorage.domain.errors import NotFound
from moorage.identity.revocations import Revocations
from moorage.identity.tokens import Token, TokenReader
from moorage.seams.clock import Clock

UNKNOWN = "Could not find token."


class Verifier:
    """Fulfils seams.tokens.TokenVerifier with the public key and a view of the revocations; asks nobody."""

    def __init__(self, reader: TokenReader, revocations: Revocations, clock: Clock, *, remembered: int = 4096) -> None:
        self._reader = reader
        self._revocations = revocations
        self._clock = clock
        self._remembered = remembered  # tokens
        self._read: OrderedDict[str, tuple[Token, Caller, tuple[str, ...]]] = OrderedDict()

    async def verify(self, token: str) -> Caller:
        return self._valid(token, self._clock.now())[1]

    def read(self, token: str, *, at: datetime | None = None) -> Token:
        """What a token says, if it counted `at` that time (None: now). Raises NotFound."""
        return self._valid(token, at or self._clock.now())[0]

    def _valid(self, text: str, now: datetime) -> tuple[Token, Caller, tuple[str, ...]]:
        known = self._read.get(text)
        if known is None:
            said = self._reader.read(text)
            known = self._read[text] = (said, said.caller(), said.subjects())
            if len(self._read) > self._remembered:
                self._read.popitem(last=False)
        else:
            self._read.move_to_end(text)
        token, _, subjects = known
        if token.expires_at <= now or self._revocations.is_revoked(token, subjects):
            raise NotFound(UNKNOWN)
        return known
