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


class Versions:
    async def on_get(self, request: Request, response: Response) -> None:
        send(response, {"versions": [version_of(root_url(request))]})


class OneVersion:
    async def on_get(self, request: Request, response: Response) -> None:
        media = [{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}]
        send(response, {"version": {**version_of(root_url(request)), "media-types": media}})
