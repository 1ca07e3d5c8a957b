"""The catalog: where each service is, for those who know where one is."""

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

REGION = "RegionOne"
SERVICES = (  # type, name, path below the base
    ("identity", "keystone", "/identity"),  # clients append /v3 themselves
    ("compute", "nova", "/compute/v2.1"),  # clients use it as it is
    ("network", "neutron", "/network"),  # clients append /v2.0
    ("image", "glance", "/image"),  # clients append /v2
)


Places = Mapping[str, str]
"""What services are below, by their types; one that is missing is where identity is, as the caller reached it."""

NOWHERE_ELSE: Places = {}


def catalog(base: str, places: Places) -> list[dict[str, Any]]:
    """Every service with its three endpoints, below `base` or its own place; their ids are the same each time."""
    return [
        {
            "id": _id(kind),
            "type": kind,
            "name": name,
            "endpoints": [
                {
                    "id": _id(f"{kind}-{interface}"),
                    "interface": interface,
                    "region": REGION,
                    "region_id": REGION,
                    "url": places.get(kind, base).rstrip("/") + path,
                }
                for interface in ("public", "internal", "admin")
            ],
        }
        for kind, name, path in SERVICES
    ]


def _id(name: str) -> str:
    return uuid5(NAMESPACE_URL, f"moorage:{name}").hex
