"""Calls with a service user's token, renewed before it expires and once after it was refused."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from moorage.adapters.http.transport import Reply, Transport
from moorage.domain.errors import Conflict, Exhausted, Forbidden, Invalid, NotFound, Stale, TooLarge, Unavailable
from moorage.kit.log_context import request_id
from moorage.kit.translating import translating
from moorage.seams.clock import Clock
from moorage.seams.tokens import TokenSource

MARGIN = timedelta(minutes=1)
_EXHAUSTED = frozenset({"OverQuota", "IpAddressGenerationFailure"})


@dataclass
class PasswordTokens:
    """Tokens of a service user, by its password. Proving it takes identity 0.1 s: who come together share a token."""

    transport: Transport
    identity: str  # URL, e.g. http://127.0.0.1:8780/identity
    user: str
    password: str = field(repr=False)
    project: str
    clock: Clock
    _token: str = field(default="", repr=False)
    _expires: datetime | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def token(self, *, refused: str | None = None) -> str:
        if not self._is_good(refused):
            async with self._turn:
                if not self._is_good(refused):  # nobody else has been quicker
                    await self._renew()
        return self._token

    def _is_good(self, refused: str | None) -> bool:
        has_time = self._expires is not None and self._expires - self.clock.now() >= MARGIN
        return has_time and self._token != refused

    async def _renew(self) -> None:
        domain = {"id": "default"}
        body = {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {"user": {"name": self.user, "domain": domain, "password": self.password}},
                },
                "scope": {"project": {"name": self.project, "domain": domain}},
            }
        }
        reply = await self.transport.request(
            "POST",
            f"{self.identity}/v3/auth/tokens?nocatalog",
            {"Content-Type": "application/json"},
            msgspec.json.encode(body),
        )
        if reply.status != 201:
            raise Unavailable(f"identity at {self.identity} refused the service user {self.user}: {reply.status}")
        with translating({(KeyError, TypeError, ValueError, msgspec.MsgspecError): Unavailable}, "reading a token"):
            read = msgspec.json.decode(reply.body)
            self._expires = datetime.fromisoformat(read["token"]["expires_at"])
            self._token = reply.headers["x-subject-token"]


@dataclass(frozen=True)
class Session:
    """Requests to one service."""

    transport: Transport
    base: str  # URL
    tokens: TokenSource

    async def call(
        self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """The answer, whatever its status; a refused token is renewed once. Raises Unavailable."""
        sent = b"" if body is None else msgspec.json.encode(body)
        token = await self.tokens.token()
        reply = await self._once(method, path, sent, headers or {}, token)
        if reply.status == 401:
            token = await self.tokens.token(refused=token)
            reply = await self._once(method, path, sent, headers or {}, token)
        return reply

    async def json(
        self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> Any:
        """The answer's body. Raises our error for any status of 400 and above."""
        reply = await self.call(method, path, body, headers=headers)
        if reply.status >= 400:
            raise error_of(reply, f"{method} {path.partition('?')[0]}")
        return msgspec.json.decode(reply.body) if reply.body else None

    async def _once(self, method: str, path: str, sent: bytes, headers: Mapping[str, str], token: str) -> Reply:
        every = {
            "X-Auth-Token": token,
            "Accept": "application/json",
            **({"Content-Type": "application/json"} if sent else {}),
            **({"X-OpenStack-Request-ID": cause} if (cause := request_id()) else {}),
            **headers,
        }
        return await self.transport.request(method, self.base + path, every, sent)


def error_of(reply: Reply, act: str) -> Exception:
    """Our error for a refused request, with the service's own words."""
    kind, message = _words(reply)
    message = message or f"{act} was answered with {reply.status}"
    if kind in _EXHAUSTED:
        return Exhausted(message, kind=kind)
    match reply.status:
        case 401 | 403:
            return Forbidden(message, kind=kind)
        case 404:
            return NotFound(message, kind=kind)
        case 409:
            return Conflict(message, kind=kind)
        case 412:
            return Stale(message, kind=kind)
        case 413:
            return TooLarge(message, kind=kind)
        case status if status < 500:
            return Invalid(message, kind=kind)
        case status:
            return Unavailable(f"{act} was answered with {status}: {message}", kind=kind)


def _words(reply: Reply) -> tuple[str, str]:
    """The error's type and message out of any of the four services' bodies."""
    try:
        body = msgspec.json.decode(reply.body)
    except msgspec.DecodeError:
        return "", ""
    if not isinstance(body, dict):
        return "", ""
    if "message" in body:
        return "", str(body["message"])
    for name, inner in body.items():
        if isinstance(inner, dict) and "message" in inner:
            return str(inner.get("type", name)), str(inner["message"])
    return "", ""
