"""A small client of the OpenStack APIs, for what our own commands ask."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from moorage.app.clouds_yaml import Account
from moorage.domain.errors import Conflict, Forbidden, Invalid, NotFound, Unauthorized, Unavailable
from moorage.domain.hops import Fact
from moorage.kit.translating import translating
from moorage.wire.facts import from_wire
from moorage.wire.messages import FactSpec

Json = dict[str, Any]  # as JSON comes

CALL_TIMEOUT = 10.0  # seconds, for each call
UPLOAD_TIMEOUT = 60.0
MICROVERSION = "2.1"


class _Facts(msgspec.Struct):
    facts: list[FactSpec]


class Client:
    """Logs in by itself, and again when its token has run out. Its errors are the five of the domain."""

    def __init__(self, session: aiohttp.ClientSession, account: Account) -> None:
        self.account = account
        self.url = account.auth_url.removesuffix("/v3").removesuffix("/identity")
        self._session = session
        self._token: str | None = None
        self._endpoints: dict[str, str] = {}

    @property
    def token(self) -> str:
        """The one that it was given last; "" before it has logged in."""
        return self._token or ""

    async def create_server(self, name: str, *, image: str, flavor: str, network: str) -> str:
        """Ask for a server, everything by name or id; returns its id."""
        body = {
            "name": name,
            "imageRef": await self._id("image", "/v2/images", "images", image),
            "flavorRef": await self._id("compute", "/flavors", "flavors", flavor),
            "networks": [{"uuid": await self._id("network", "/v2.0/networks", "networks", network)}],
        }
        answer = await self.call("POST", "compute", "/servers", {"server": body})
        return str(answer["server"]["id"])

    async def server(self, server: str) -> Json | None:
        """The server's body; None when there is none."""
        try:
            answer = await self.call("GET", "compute", f"/servers/{server}")
        except NotFound:
            return None
        return dict(answer["server"])

    async def servers(self, *, all_projects: bool = False) -> Sequence[Json]:
        answer = await self.call("GET", "compute", f"/servers/detail{'?all_tenants=1' if all_projects else ''}")
        return list(answer["servers"])

    async def find_server(self, name_or_id: str) -> Json:
        """Raises NotFound, and Conflict when several servers have the name."""
        found = await self.server(name_or_id) if "/" not in name_or_id else None
        if found is not None:
            return found
        named = [server for server in await self.servers() if server["name"] == name_or_id]
        if not named:
            raise NotFound(f"there is no server '{name_or_id}' in project {self.account.project}")
        if len(named) > 1:
            raise Conflict(f"{len(named)} servers are named '{name_or_id}': give an id")
        return named[0]

    async def delete_server(self, server: str) -> None:
        """Ask that the server goes; one that is gone is fine."""
        try:
            await self.call("DELETE", "compute", f"/servers/{server}")
        except NotFound:
            return

    async def port_of(self, server: str) -> Json | None:
        """The server's first port; None while, or when, it has none."""
        answer = await self.call("GET", "network", f"/v2.0/ports?device_id={server}")
        return next((dict(port) for port in answer["ports"]), None)

    async def port(self, port: str) -> Json | None:
        try:
            answer = await self.call("GET", "network", f"/v2.0/ports/{port}")
        except NotFound:
            return None
        return dict(answer["port"])

    async def services(self) -> Sequence[Json]:
        answer = await self.call("GET", "compute", "/os-services?binary=nova-compute")
        return list(answer["services"])

    async def agents(self) -> Sequence[Json]:
        answer = await self.call("GET", "network", "/v2.0/agents")
        return list(answer["agents"])

    async def facts(self, server: str) -> list[Fact]:
        """All that the timeline has of a server."""
        if not self._endpoints:
            await self.log_in()
        base = self._endpoints["compute"].removesuffix("/compute/v2.1")  # whose company the timeline keeps
        raw = await self._send("GET", f"{base}/timeline/v1/servers/{server}", None)
        with translating({msgspec.MsgspecError: Unavailable}, f"reading the timeline of {server}"):
            return from_wire(msgspec.json.decode(raw, type=_Facts).facts)

    async def call(self, method: str, service: str, path: str, body: Mapping[str, Any] | None = None) -> Json:
        """One call to a service, by its type in the catalog; {} for an answer without a body."""
        endpoint = await self.endpoint(service)
        if path.startswith("/v2") and endpoint.endswith(("/v2", "/v2.0")):  # some catalogs name the version, some not
            endpoint = endpoint.rpartition("/")[0]
        raw = await self._send(method, endpoint + path, body)
        return _json(raw) if raw.strip() else {}

    async def upload(self, image: str, data: bytes) -> None:
        """Give an image its data. Raises Unavailable."""
        url = f"{await self.endpoint('image')}/v2/images/{image}/file"
        headers = {**self._headers(), "Content-Type": "application/octet-stream"}
        with translating({(aiohttp.ClientError, TimeoutError, OSError): Unavailable}, f"PUT {url}"):
            async with (
                asyncio.timeout(UPLOAD_TIMEOUT),
                self._session.put(url, data=data, headers=headers) as answer,
            ):
                _raise_for(answer.status, await answer.read(), f"PUT {url}")

    async def endpoint(self, service: str) -> str:
        """Where a service is, as the catalog has it. Raises NotFound."""
        if not self._endpoints:
            await self.log_in()
        try:
            return self._endpoints[service]
        except KeyError:
            raise NotFound(f"the cloud at {self.account.auth_url} has no service '{service}'") from None

    async def log_in(self) -> None:
        """Get a token and the catalog. Raises Unauthorized, Unavailable."""
        account = self.account
        user = {"name": account.user, "password": account.password, "domain": {"id": account.user_domain}}
        scope = {"project": {"name": account.project, "domain": {"id": account.project_domain}}}
        identity = {"methods": ["password"], "password": {"user": user}}
        url = f"{account.auth_url}/auth/tokens"
        status, headers, raw = await self._exchange("POST", url, {"auth": {"identity": identity, "scope": scope}}, {})
        _raise_for(status, raw, f"logging in at {account.auth_url} as {account.user}")
        self._token = headers["X-Subject-Token"]
        for entry in _json(raw)["token"]["catalog"]:
            for endpoint in entry["endpoints"]:
                if endpoint["interface"] == "public":
                    self._endpoints[entry["type"]] = endpoint["url"].rstrip("/")

    async def _send(self, method: str, url: str, body: Mapping[str, Any] | None) -> bytes:
        if self._token is None:
            await self.log_in()
        status, _, raw = await self._exchange(method, url, body, self._headers())
        if status == 401:  # the token has run out
            await self.log_in()
            status, _, raw = await self._exchange(method, url, body, self._headers())
        _raise_for(status, raw, f"{method} {url}")
        return raw

    def _headers(self) -> dict[str, str]:
        return {"X-Auth-Token": self.token, "OpenStack-API-Version": f"compute {MICROVERSION}"}

    async def _exchange(
        self, method: str, url: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        with translating({(aiohttp.ClientError, TimeoutError, OSError): Unavailable}, f"{method} {url}"):
            try:
                async with (
                    asyncio.timeout(CALL_TIMEOUT),
                    self._session.request(method, url, json=body, headers=headers) as answer,
                ):
                    return answer.status, answer.headers, await answer.read()
            except aiohttp.ClientConnectorError as error:
                raise Unavailable(f"nothing answers at {self.url}: is the cloud running? moorage up") from error

    async def _id(self, service: str, path: str, kind: str, name_or_id: str) -> str:
        answer = await self.call("GET", service, path)
        for thing in answer[kind]:
            if name_or_id in (thing["id"], thing["name"]):
                return str(thing["id"])
        raise NotFound(f"there is no {kind.removesuffix('s')} '{name_or_id}'")


async def is_ready(url: str) -> bool:
    """Whether the process that listens there says so of itself."""
    try:
        async with aiohttp.request("GET", f"{url}/readyz", timeout=aiohttp.ClientTimeout(CALL_TIMEOUT)) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


@asynccontextmanager
async def logged_in(account: Account) -> AsyncIterator[Client]:
    """A client of this account, logged in. Raises Unauthorized, Unavailable."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200)) as session:
        client = Client(session, account)
        await client.log_in()
        yield client


def _json(raw: bytes) -> Json:
    with translating({msgspec.MsgspecError: Unavailable}, "reading an answer"):
        return dict(msgspec.json.decode(raw, type=dict[str, Any]))


def _raise_for(status: int, raw: bytes, act: str) -> None:
    """Raise ours of the five for an error's status, with the service's own message."""
    if status < 400:
        return
    kinds = {401: Unauthorized, 403: Forbidden, 404: NotFound, 409: Conflict}
    kind = kinds.get(status, Unavailable if status >= 500 else Invalid)
    raise kind(f"{act}: {status} {message_of(raw)}".rstrip())


def message_of(raw: bytes) -> str:
    """What an error's body says, in whichever service's shape."""
    try:
        body = msgspec.json.decode(raw)
    except msgspec.MsgspecError:
        return ""
    if isinstance(body, dict):
        for part in body.values():
            if isinstance(part, dict) and isinstance(part.get("message"), str):
                return str(part["message"])
        if isinstance(body.get("message"), str):
            return str(body["message"])
    return ""
