"""Which versions there are: told to anybody, without a token."""

from typing import Any

from moorage.compute_api.microversions import FIRST, LATEST
from moorage.kit.web import Request, Response, root_url, send


def version_of(base: str) -> dict[str, Any]:
    return {
        "id": "v2.1",
        "status": "CURRENT",
        "version": f"2.{LATEST}",
        "min_version": f"2.{FIRST}",
        "updated": "2013-07-23T11:33:21Z",
        "links": [{"rel": "self", "href": f"{base}/v2.1/"}],
    }


def old_version_of(base: str) -> dict[str, Any]:
    """v2.0 is said to exist, as every Nova says: clients expect it to come first. Nothing but this is served there."""
    return {
        "id": "v2.0",
        "status": "SUPPORTED",
        "version": "",
        "min_version": "",
        "updated": "2011-01-21T11:33:21Z",
        "links": [{"rel": "self", "href": f"{base}/v2/"}],
    }


class Versions:
    async def on_get(self, request: Request, response: Response) -> None:
        base = root_url(request)
        send(response, {"versions": [old_version_of(base), version_of(base)]})


class OldVersion:
    async def on_get(self, request: Request, response: Response) -> None:
        media = [{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2"}]
        send(response, {"version": {**old_version_of(root_url(request)), "media-types": media}})


class OneVersion:
    async def on_get(self, request: Request, response: Response) -> None:
        media = [{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}]
        send(response, {"version": {**version_of(root_url(request)), "media-types": media}})
