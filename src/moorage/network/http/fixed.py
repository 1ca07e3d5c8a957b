"""What is the same for everybody, or nearly: versions, extensions, quotas, zones, agents."""

from collections.abc import Sequence
from typing import Any

from moorage.domain.agent import Agent
from moorage.domain.errors import NotFound
from moorage.kit.web import Request, Response, body_of, root_url, send, send_nothing
from moorage.network.http import listing
from moorage.network.http.resource import caller_of, query_of
from moorage.network.http.views import agent_view
from moorage.network.service import NetworkService
from moorage.wire.network import AgentEdit, given, read_one

# standard-attr-tag is left out: it promises tags of routers and subnet pools as well, of which there are none. What
# there is can be tagged all the same.
EXTENSIONS = {
    "agent": "agent",
    "allowed-address-pairs": "Allowed Address Pairs",
    "binding": "Port Binding",
    "binding-extended": "Port Bindings Extended",
    "ip-substring-filtering": "IP address substring filtering",
    "net-mtu": "Network MTU",
    "pagination": "Pagination support",
    "port-security": "Port Security",
    "project-id": "project_id field enabled",
    "provider": "Provider Network",
    "quotas": "Quota management support",
    "quota_details": "Quota details management support",
    "security-group": "security-group",
    "sorting": "Sorting support",
    "standard-attr-description": "standard-attr-description",
    "standard-attr-revisions": "Resource revision numbers",
    "standard-attr-timestamp": "Resource timestamps",
}
RESOURCES = {
    "network": "networks",
    "subnet": "subnets",
    "port": "ports",
    "security_group": "security-groups",
    "security_group_rule": "security-group-rules",
    "agent": "agents",
    "quota": "quotas",
}


class Versions:
    """GET / and GET /v2.0: the documents that need no token."""

    async def on_get(self, request: Request, response: Response) -> None:
        links = [{"rel": "self", "href": f"{root_url(request)}/v2.0/"}]
        send(response, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": links}]})

    async def on_get_resources(self, request: Request, response: Response) -> None:
        base = f"{root_url(request)}/v2.0"
        shown = [
            {
                "name": name,
                "collection": path.replace("-", "_"),
                "links": [{"rel": "self", "href": f"{base}/{path}"}],
            }
            for name, path in RESOURCES.items()
        ]
        send(response, {"resources": shown})


class Extensions:
    async def on_get(self, request: Request, response: Response) -> None:
        send(response, {"extensions": [_extension(alias) for alias in EXTENSIONS]})

    async def on_get_one(self, request: Request, response: Response, thing: str) -> None:
        if thing not in EXTENSIONS:
            raise NotFound(f"Extension with alias {thing} does not exist", kind="ExtensionNotFound")
        send(response, {"extension": _extension(thing)})


def _extension(alias: str) -> dict[str, Any]:
    return {
        "alias": alias,
        "name": EXTENSIONS[alias],
        "description": EXTENSIONS[alias],
        "updated": "2026-01-01T00:00:00-00:00",
        "links": [],
    }


class Agents:
    """For admins, and for services to look at; to others the list is empty."""

    def __init__(self, service: NetworkService) -> None:
        self._service = service

    async def on_get(self, request: Request, response: Response) -> None:
        agents = await self._service.store.agents() if caller_of(request).is_service else ()
        query, now = query_of(request), self._service.clock.now()
        page = listing.selected([agent_view(agent, now) for agent in agents], query)
        send(response, {"agents": [listing.with_fields(view, query) for view in page]})

    async def on_get_one(self, request: Request, response: Response, thing: str) -> None:
        agent = _found(await self._seen(request), thing)
        send(response, {"agent": agent_view(agent, self._service.clock.now())})

    async def on_put_one(self, request: Request, response: Response, thing: str) -> None:
        _found(await self._seen(request), thing)
        fields = given(read_one(await body_of(request), "agent", AgentEdit))
        if "description" in fields:
            fields["description"] = fields["description"] or ""
        agent = await self._service.edit_agent(thing, fields)
        send(response, {"agent": agent_view(agent, self._service.clock.now())})

    async def on_delete_one(self, request: Request, response: Response, thing: str) -> None:
        _found(await self._seen(request), thing)
        await self._service.store.delete_agent(thing)
        send_nothing(response)

    async def _seen(self, request: Request) -> Sequence[Agent]:
        return await self._service.store.agents() if caller_of(request).is_admin else ()


def _found(agents: Sequence[Agent], agent: str) -> Agent:
    for one in agents:
        if one.id == agent:
            return one
    raise NotFound(f"Agent {agent} could not be found.", kind="AgentNotFound")


class Zones:
    async def on_get(self, request: Request, response: Response) -> None:
        send(response, {"availability_zones": []})
