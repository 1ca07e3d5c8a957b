"""Images on the host's own disk: fetched once each, never written to (before sub-fact held)."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from moorage.domain.errors import Invalid
from moorage.domain.ids import ImageId, ProjectId
from moorage.seams.hypervisor import GuestImage
from moorage.seams.image_api import ImageApi

KERNEL_ID = "kernel_id"
RAMDISK_ID = "ramdisk_id"
COMMAND_LINE = "os_command_line"


@dataclass(frozen=True)
class Images:
    """`directory` None: the host's guests need no data (simulated, netns), so nothing is fetched."""

    api: ImageApi
    directory: Path | None
    _locks: dict[ImageId, asyncio.Lock] = field(default_factory=dict)

    async def ready(self, image: ImageId | None, project: ProjectId) -> GuestImage:
        """The image's files. Raises Invalid when a server has none to boot from; NotFound, Unavailable."""
        if self.directory is None:
            return GuestImage()
        if image is None:
            raise Invalid("the server has no image to boot from")
        info = await self.api.show(image, project)
        kernel, ramdisk = info.properties.get(KERNEL_ID), info.properties.get(RAMDISK_ID)
        if kernel:
            return GuestImage(
                kernel=await self._file(ImageId(kernel)),
                ramdisk=await self._file(ImageId(ramdisk)) if ramdisk else None,
                command_line=info.properties.get(COMMAND_LINE, ""),
            )
        if info.disk_format not in ("raw", "qcow2"):
            raise Invalid(f"image {info.name or image} has the format {info.disk_format}: raw and qcow2 boot here")
        return GuestImage(disk=await self._file(image), disk_format=info.disk_format)

    async def _file(self, image: ImageId) -> Path:
        assert self.directory is not None
        path = self.directory / image
        async with self._locks.setdefault(image, asyncio.Lock()):
            if not path.exists():
                await self.api.fetch(image, path)
        return path
