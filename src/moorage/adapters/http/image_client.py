"""The Image API as compute uses it."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moorage.adapters.http.session import Session
from moorage.domain.errors import NotFound, Unavailable
from moorage.domain.ids import ImageId, ProjectId
from moorage.kit.translating import translating
from moorage.seams.image_api import ImageInfo

_FIELDS = {
    *("id", "name", "status", "visibility", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value"),
    *("os_hidden", "protected", "min_disk", "min_ram", "owner", "disk_format", "container_format", "created_at"),
    *("updated_at", "tags", "file", "self", "schema"),
}
_OPEN = ("public", "community")


@dataclass(frozen=True)
class HttpImageApi:
    """Asks with a service user's token, which sees every image, and keeps projects apart itself."""

    session: Session

    async def show(self, image: ImageId, project: ProjectId) -> ImageInfo:
        found = await self.session.json("GET", f"/v2/images/{image}")
        if found.get("owner") != project and found.get("visibility") not in _OPEN:
            await self._require_member(found, image, project)
        return _info(found)

    async def _require_member(self, found: Mapping[str, Any], image: ImageId, project: ProjectId) -> None:
        """Raises NotFound for an image that is not shared with the project."""
        if found.get("visibility") != "shared":
            raise NotFound(f"No image found with ID {image}")
        await self.session.json("GET", f"/v2/images/{image}/members/{project}")

    async def fetch(self, image: ImageId, into: Path) -> None:
        part = into.with_name(into.name + ".part")
        headers = {"X-Auth-Token": await self.session.tokens.token()}
        with translating({OSError: Unavailable}, f"keeping image {image} on this host"):
            try:
                async with self.session.transport.download(
                    f"{self.session.base}/v2/images/{image}/file", headers
                ) as data:
                    with await asyncio.to_thread(part.open, "wb") as out:
                        async for piece in data:
                            await asyncio.to_thread(out.write, piece)
                os.replace(part, into)
            finally:
                part.unlink(missing_ok=True)


def _info(found: Mapping[str, Any]) -> ImageInfo:
    with translating({(KeyError, TypeError): Unavailable}, "reading an image"):
        return ImageInfo(
            id=ImageId(found["id"]),
            name=found.get("name") or "",
            status=found["status"],
            min_disk=found.get("min_disk") or 0,
            min_ram=found.get("min_ram") or 0,
            disk_format=found.get("disk_format") or "",
            container_format=found.get("container_format") or "",
            properties={key: str(value) for key, value in found.items() if key not in _FIELDS and value is not None},
            size=found.get("size") or 0,
        )
