"""Tokens verified in another process than identity's, by what it publishes; nobody is asked while a request waits."""

from collections.abc import Sequence
from datetime import datetime
from typing import Never

import structlog

from moorage.domain.caller import Caller
from moorage.domain.errors import Unavailable
from moorage.domain.identity import Revocation
from moorage.identity.revocations import Revocations
from moorage.identity.tokens import reader_of
from moorage.identity.verifier import Verifier
from moorage.kit.translating import translating
from moorage.seams.clock import Clock
from moorage.seams.tokens import TrustSource

log = structlog.get_logger(__name__)

SILENT_AFTER = 10.0  # seconds without a word from identity, until we are not ready


class TrustingVerifier:
    """Fulfils seams.tokens.TokenVerifier. Give `run` to a supervisor after `begin`."""

    def __init__(self, source: TrustSource, clock: Clock, *, every: float = 1.0) -> None:
        """What is revoked counts here `every` seconds after identity has published it, at the latest."""
        self._source = source
        self._clock = clock
        self._revocations = Revocations(self._fetch, clock, every=every)
        self._key = b""
        self._verifier: Verifier | None = None
        self._heard_at = clock.monotonic()

    async def verify(self, token: str) -> Caller:
        if self._verifier is None:
            raise Unavailable("Identity has not been heard yet: nobody's token can be verified.")
        return await self._verifier.verify(token)

    async def begin(self) -> None:
        """Hear identity for the first time. Raises Unavailable."""
        await self._revocations.refresh()

    async def run(self) -> Never:
        await self._revocations.follow()

    async def reasons(self) -> Sequence[str]:
        """Why we are not ready."""
        silent = self._clock.monotonic() - self._heard_at
        return [f"identity has not been heard for {silent:.0f} s"] if silent > SILENT_AFTER else []

    async def _fetch(self, _now: datetime) -> Sequence[Revocation]:
        trust = await self._source.trust()
        if trust.public_key != self._key:
            with translating({ValueError: Unavailable}, "reading identity's key"):
                reader = reader_of(trust.public_key)
            if self._key:
                log.warning("identity signs with another key: tokens of the one before count no more")
            self._verifier = Verifier(reader, self._revocations, self._clock)
            self._key = trust.public_key
        self._heard_at = self._clock.monotonic()
        return trust.revocations
