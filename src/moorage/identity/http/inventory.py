"""Services, endpoints and the region as things of their own (read only)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import falcon.asgi

from moorage.domain.errors import NotFound
from moorage.identity.catalog import REGION, Places, catalog
from moorage.identity.http.callers import base_url, caller_of, require_reader
from moorage.identity.views import listed
from moorage.kit.web import Request, Response, send


def add_inventory(app: falcon.asgi.App[Request, Response], places: Places) -> None:
    for word, filters, inventory in (
        ("service", ("type", "name"), _services),
        ("endpoint", ("service_id", "interface", "region_id", "region"), _endpoints),
        ("region", ("parent_region_id",), _regions),
    ):
        app.add_route(f"/v3/{word}s", _All(word, filters, inventory, places))
        app.add_route(f"/v3/{word}s/{{id}}", _One(word, inventory, places))


Inventory = Callable[[str, Places], list[dict[str, Any]]]


def _services(base: str, places: Places) -> list[dict[str, Any]]:
    return [
        {
            "id": service["id"],
            "type": service["type"],
            "name": service["name"],
            "description": "",
            "enabled": True,
            "links": {"self": f"{base}/identity/v3/services/{service['id']}"},
        }
        for service in catalog(base, places)
    ]


def _endpoints(base: str, places: Places) -> list[dict[str, Any]]:
    return [
        {
            **endpoint,
            "service_id": service["id"],
            "enabled": True,
            "links": {"self": f"{base}/identity/v3/endpoints/{endpoint['id']}"},
        }
        for service in catalog(base, places)
        for endpoint in service["endpoints"]
    ]


def _regions(base: str, _places: Places) -> list[dict[str, Any]]:
    links = {"self": f"{base}/identity/v3/regions/{REGION}"}
    return [{"id": REGION, "description": "", "parent_region_id": None, "links": links}]


@dataclass(frozen=True)
class _All:
    word: str
    filters: tuple[str, ...]
    inventory: Inventory
    places: Places

    async def on_get(self, request: Request, response: Response) -> None:
        require_reader(caller_of(request), f"identity:list_{self.word}s")
        base = base_url(request, self.places)
        found = self.inventory(base, self.places)
        for name in self.filters:
            wanted = request.get_param(name)
            if wanted is not None:
                found = [thing for thing in found if thing[name] == wanted]
        send(response, listed(f"{self.word}s", found, base, f"/{self.word}s"))


@dataclass(frozen=True)
class _One:
    word: str
    inventory: Inventory
    places: Places

    async def on_get(self, request: Request, response: Response, id: str) -> None:
        require_reader(caller_of(request), f"identity:get_{self.word}")
        for thing in self.inventory(base_url(request, self.places), self.places):
            if thing["id"] == id:
                send(response, {self.word: thing})
                return
        raise NotFound(f"Could not find {self.word}: {id}.")
