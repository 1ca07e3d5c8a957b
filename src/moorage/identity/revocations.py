"""Which tokens count no more, as one process knows it: its own revocations at once, others' within a second or two."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Never

import structlog

from moorage.domain.errors import Unavailable
from moorage.domain.identity import Revocation
from moorage.identity.tokens import Token
from moorage.seams.clock import Clock

log = structlog.get_logger(__name__)


class Revocations:
    """A view of the table of revocations.

    `fetch` reads those that still matter: from the store in identity's own process, over HTTP elsewhere.
    """

    def __init__(
        self,
        fetch: Callable[[datetime], Awaitable[Sequence[Revocation]]],
        clock: Clock,
        *,
        every: float = 1.0,  # seconds
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._every = every
        self._known: dict[str, Revocation] = {}

    def add(self, revoking: Sequence[Revocation]) -> None:
        """Take in revocations that are in the table by now."""
        for revocation in revoking:
            known = self._known.get(revocation.subject)
            if known is None or known.issued_before < revocation.issued_before:
                self._known[revocation.subject] = revocation

    def known(self) -> Sequence[Revocation]:
        """All that matter, as far as this process knows."""
        return tuple(self._known.values())

    def is_revoked(self, token: Token, subjects: Sequence[str]) -> bool:
        """Whether `token`, whose `subjects` these are, counts no more."""
        for subject in subjects:
            known = self._known.get(subject)
            if known is not None and token.issued_at <= known.issued_before:
                return True
        return False

    async def refresh(self) -> None:
        """Read the table, and forget what no longer matters. Raises Unavailable."""
        now = self._clock.now()
        self.add(await self._fetch(now))
        self._known = {subject: known for subject, known in self._known.items() if known.until >= now}

    async def follow(self) -> Never:
        """Keep up with the table, and forget what has expired."""
        is_known = True
        while True:
            try:
                await self.refresh()
                is_known = True
            except Unavailable:
                if is_known:
                    log.warning("revoked tokens cannot be read: those revoked from now on still count here")
                is_known = False
            await asyncio.sleep(self._every)
