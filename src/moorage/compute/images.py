"""Images on the host's own disk: fetched once each, never written to (before sub-fact held)."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from moorage.domain.errors import Invalid
from moorage.domain.ids import ImageId, ProjectId
from moorage.seams.hypervisor import GuestImage
from moorage.seams.image_api import ImageApi

KERNEL_ID = "kernel_id"
RAMDISK_ID = "ramdisk_id"
COMMAND_LINE = "os_command_line"
DEFAULT_COMMAND_LINE = "console=ttyS0"  # or the console log would stay empty


@dataclass(frozen=True)
class Images:
    """`directory` None: the host's guests need no data (simulated, netns), so nothing is fetched."""

    api: ImageApi
    directory: Path | None
    _locks: dict[ImageId, asyncio.Lock] = field(default_factory=dict)

    async def ready(self, image: ImageId | None, project: ProjectId) -> GuestImage:
        """The image's files, those of the kernel and the RAM disk that it names too, if `project` may use them.

        Raises Invalid when a server has none to boot from; NotFound, Unavailable.
        """
        if self.directory is None:
            return GuestImage()
        if image is None:
            raise Invalid("the server has no image to boot from")
        info = await self.api.show(_id(image), project)
        kernel, ramdisk = info.properties.get(KERNEL_ID), info.properties.get(RAMDISK_ID)
        if kernel:
            parts = [await self._part(part, project) for part in (kernel, ramdisk) if part]
            files = [await self._file(part) for part in parts]
            return GuestImage(
                kernel=files[0],
                ramdisk=files[1] if ramdisk else None,
                command_line=info.properties.get(COMMAND_LINE, DEFAULT_COMMAND_LINE),
            )
        if info.disk_format not in ("raw", "qcow2"):
            raise Invalid(f"image {info.name or image} has the format {info.disk_format}: raw and qcow2 boot here")
        return GuestImage(disk=await self._file(_id(image)), disk_format=info.disk_format)

    async def _part(self, image: str, project: ProjectId) -> ImageId:
        """A kernel or a RAM disk that the image names: its owner may have written anything there."""
        id = _id(image)
        if (await self.api.show(id, project)).status != "active":
            raise Invalid(f"image {id}, which the server's image names, has no data to boot from")
        return id

    async def _file(self, image: ImageId) -> Path:
        assert self.directory is not None
        path = self.directory / image
        async with self._locks.setdefault(image, asyncio.Lock()):
            if not path.exists():
                await self.api.fetch(image, path)
        return path


def _id(text: str) -> ImageId:
    """An image's id, in the one form that is also a file's name. Raises Invalid for anything but a UUID."""
    try:
        return ImageId(str(UUID(text)))
    except ValueError:
        raise Invalid(f"{text!r} is no image's id") from None
