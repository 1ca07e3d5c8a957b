"""What identity publishes for those who verify tokens themselves: read often, sent only when something is new."""

from dataclasses import dataclass, field

import msgspec

from moorage.adapters.http.session import Session
from moorage.domain.errors import Unavailable
from moorage.kit.translating import translating
from moorage.seams.tokens import Trust
from moorage.wire.trust import TrustSpec, from_wire

_PATH = "/moorage/trust"


@dataclass
class HttpTrust:
    """Fulfils seams.tokens.TrustSource."""

    session: Session  # to identity, of a service user
    _tag: str = ""
    _last: Trust | None = field(default=None, repr=False)

    async def trust(self) -> Trust:
        headers = {"If-None-Match": self._tag} if self._tag else {}
        reply = await self.session.call("GET", _PATH, headers=headers)
        if reply.status == 304 and self._last is not None:
            return self._last
        if reply.status != 200:
            raise Unavailable(f"identity was asked for its trust, and answered with {reply.status}")
        with translating({(msgspec.MsgspecError, UnicodeEncodeError): Unavailable}, "reading identity's trust"):
            public_key, revocations = from_wire(msgspec.json.decode(reply.body, type=TrustSpec))
        self._last, self._tag = Trust(public_key, revocations), reply.headers.get("etag", "")
        return self._last
