"""The guest image that a new cloud begins with."""

from collections.abc import AsyncIterator, Callable, Mapping
from hashlib import sha512
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from moorage.domain.errors import NotFound
from moorage.domain.ids import ImageId, ProjectId
from moorage.domain.image import Image, ImageStatus
from moorage.image.patch import Change
from moorage.image.service import WE, ImageService

GUEST = "moorage-guest"
Source = Callable[[], AsyncIterator[bytes]]  # the data from its beginning, each time it is called


async def register_guest(
    service: ImageService, owner: ProjectId, *, kernel: Source, ramdisk: Source, command_line: str, name: str = GUEST
) -> Image:
    """The public image `name` that boots `kernel` with `ramdisk`. Repeatable: only what is missing is made.

    The kernel and the RAM disk are images of their own, whose ids follow from their data; new data makes new ones,
    and the image then points to them.
    """
    kernel_id = await _filled(service, owner, f"{name}-kernel", "aki", kernel)
    ramdisk_id = await _filled(service, owner, f"{name}-ramdisk", "ari", ramdisk)
    properties = {"kernel_id": kernel_id, "ramdisk_id": ramdisk_id, "os_command_line": command_line}
    image = await _made(service, owner, _id(name), {"name": name, **_formats("ami"), **properties}, nothing)
    steps = [Change("add", key, value) for key, value in properties.items() if image.properties.get(key) != value]
    return await service.change(WE, image.id, steps) if steps else image


async def register_placeholder(service: ImageService, owner: ProjectId, *, name: str = GUEST) -> Image:
    """The public image `name` for hosts whose guests boot from nothing: a sector of zeroes. Repeatable."""
    return await _made(
        service, owner, _id(name), {"name": name, "disk_format": "raw", "container_format": "bare"}, a_sector
    )


async def nothing() -> AsyncIterator[bytes]:
    """No data at all."""
    yield b""


async def a_sector() -> AsyncIterator[bytes]:
    """The smallest disk there is."""
    yield bytes(512)


async def _filled(service: ImageService, owner: ProjectId, name: str, kind: str, source: Source) -> ImageId:
    """The id of the image that holds the data of `source`."""
    digest = sha512()
    async for piece in source():
        digest.update(piece)
    id = _id(f"{name}:{digest.hexdigest()}")
    await _made(service, owner, id, {"name": name, **_formats(kind)}, source)
    return id


async def _made(
    service: ImageService, owner: ProjectId, id: ImageId, fields: Mapping[str, Any], source: Source
) -> Image:
    """The public image with this id, with its data."""
    try:
        image = await service.show(WE, id)
    except NotFound:
        image = await service.create(WE, {"id": id, "owner": owner, "visibility": "public", **fields})
    if image.status is ImageStatus.QUEUED:  # new, or cut short at an earlier start
        await service.upload(WE, id, source())
        image = await service.show(WE, id)
    return image


def _formats(kind: str) -> dict[str, str]:
    return {"disk_format": kind, "container_format": kind}


def _id(what: str) -> ImageId:
    return ImageId(str(uuid5(NAMESPACE_URL, f"moorage:image:{what}")))
