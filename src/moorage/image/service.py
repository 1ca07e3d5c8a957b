"""Images made, filled, shown and deleted.

An image that boots a kernel directly has the properties `kernel_id` and `ramdisk_id`: the ids of an image in format
aki and of one in format ari, whose data are the kernel and the initial RAM disk. `os_command_line` may say what the
kernel is told. Its own data is the root disk; it may be empty (size 0) when the RAM disk is all there is. Its formats
are ami and ami then. That is what Glance calls an ami image.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from moorage.domain.errors import Conflict, Forbidden, Full, Invalid, NotFound, TooLarge, Unavailable
from moorage.domain.ids import ImageId, ProjectId
from moorage.domain.image import (
    Image,
    ImageEvent,
    ImageStatus,
    Viewer,
    Visibility,
    moved,
    upload_begun,
    upload_failed,
    uploaded,
)
from moorage.image.fields import made
from moorage.image.listing import Wanted, ids_of, page
from moorage.image.patch import Change, patched
from moorage.kit.retry import retry
from moorage.seams.clock import Clock
from moorage.seams.image_files import ImageFiles
from moorage.seams.image_store import ImageStore

WE = Viewer(project=None, is_admin=True)  # the service itself
MAX_TAGS = 128


@dataclass(frozen=True)
class ImageService:
    store: ImageStore
    files: ImageFiles
    clock: Clock
    max_size: int = 64 << 30  # bytes in one image
    settle: float = 0.5  # seconds from an upload's record to its first byte, or from its last to its record, and more

    async def recover(self) -> None:
        """At start: uploads that a crash has cut are as if they had never begun. Those of other processes go on."""
        cut = await self._cut_uploads()
        if cut:
            await asyncio.sleep(self.settle)
            for image, upload in cut & await self._cut_uploads():
                await self._give_up(image, upload)
        await self.files.clean(self._known)

    async def _cut_uploads(self) -> frozenset[tuple[ImageId, str]]:
        """Those that nobody writes; one that has just begun, or just ended, may be among them."""
        images = await self.store.find(WE)
        written = await self.files.being_written()
        saving = [image for image in images if image.status is ImageStatus.SAVING and image.id not in written]
        return frozenset((image.id, image.upload) for image in saving)

    async def _known(self) -> frozenset[ImageId]:
        return frozenset(image.id for image in await self.store.find(WE))

    async def create(self, viewer: Viewer, body: Mapping[str, Any]) -> Image:
        """A new image without data. Raises Invalid, Forbidden, Conflict when the id is taken."""
        fields = dict(body)
        owner = fields.pop("owner", viewer.project)
        if owner != viewer.project and not viewer.is_admin:
            raise Forbidden(f"You are not permitted to create images owned by '{owner}'.")
        if not isinstance(owner, str) or not 0 < len(owner) <= 64:
            raise Forbidden("An image needs an owner: use a token that is scoped to a project.")
        image = made(fields, _id(fields), ProjectId(owner), self.clock.now())
        _require_right_to_publish(image, viewer)
        await self.store.add(image)
        return image

    async def show(self, viewer: Viewer, id: str) -> Image:
        """Raises NotFound."""
        return await self.store.get(ImageId(id), viewer)

    async def list(self, viewer: Viewer, asked: Wanted) -> tuple[Sequence[Image], bool]:
        """A page of images, and whether more come after it. Raises Invalid for an unknown marker."""
        found = await self.store.find(viewer, ids=ids_of(asked), visibility=asked.visibility)
        return page(found, asked, viewer)

    async def change(self, viewer: Viewer, id: str, steps: Sequence[Change]) -> Image:
        """The image after a patch. Raises NotFound, Invalid, Forbidden, Conflict."""

        def patch(image: Image) -> Image:
            image.require_owner(viewer)
            after = patched(
                _given_away(image, steps, viewer), [step for step in steps if not _gives_away(step, viewer)]
            )
            if after.visibility is not image.visibility:
                _require_right_to_publish(after, viewer)
            return replace(after, updated_at=self.clock.now())

        return await self.store.update(ImageId(id), viewer, patch)

    async def delete(self, viewer: Viewer, id: str) -> None:
        """Raises NotFound, Forbidden for an image that is protected or another's."""
        await self.store.delete(ImageId(id), viewer, partial(_require_deletable, viewer=viewer))
        await self.files.delete(ImageId(id))  # what is left by a failure here is removed by recover()

    async def move(self, viewer: Viewer, id: str, event: ImageEvent) -> None:
        """Deactivate or reactivate. Raises NotFound; Forbidden for another's, and for an image without data."""

        def change(image: Image) -> Image:
            image.require_owner(viewer)
            try:
                return moved(image, event, self.clock.now())
            except Conflict as error:  # Glance's choice of a status
                raise Forbidden(error.message) from error

        await self.store.update(ImageId(id), viewer, change)

    async def tag(self, viewer: Viewer, id: str, tag: str) -> None:
        """Raises NotFound, Forbidden, Invalid. Repeatable."""
        if not 0 < len(tag) <= 255:
            raise Invalid("Invalid input: a tag has 1 to 255 characters.")

        def change(image: Image) -> Image:
            image.require_owner(viewer)
            if tag not in image.tags and len(image.tags) >= MAX_TAGS:
                raise Invalid(f"Invalid input: an image has at most {MAX_TAGS} tags.")
            return replace(image, tags=tuple(dict.fromkeys((*image.tags, tag))), updated_at=self.clock.now())

        await self.store.update(ImageId(id), viewer, change)

    async def untag(self, viewer: Viewer, id: str, tag: str) -> None:
        """Raises NotFound for an image or a tag that is not there, Forbidden."""

        def change(image: Image) -> Image:
            image.require_owner(viewer)
            if tag not in image.tags:
                raise NotFound(f"Image {id} has no tag '{tag}'.")
            return replace(image, tags=tuple(old for old in image.tags if old != tag), updated_at=self.clock.now())

        await self.store.update(ImageId(id), viewer, change)

    async def upload(self, viewer: Viewer, id: str, parts: AsyncIterator[bytes]) -> None:
        """Fill an image; when that fails it is as it was, and nothing is kept.

        Raises NotFound, Forbidden, Conflict for an image that has data, Invalid for one without formats, TooLarge
        (also when the disk is full), Unavailable, and what `parts` raises.
        """
        try:
            await self._upload(viewer, ImageId(id), uuid4().hex, parts)
        except Full as error:
            raise TooLarge("Image storage media is full: there is no room for this image.") from error

    async def _upload(self, viewer: Viewer, image: ImageId, upload: str, parts: AsyncIterator[bytes]) -> None:
        await self.store.update(image, viewer, partial(self._begun, viewer=viewer, upload=upload))
        try:
            written = await self.files.write(image, parts, limit=self.max_size)
            await self.store.update(image, WE, partial(uploaded, upload=upload, written=written, now=self.clock.now()))
        except Exception:  # not cancellation: recover() sees to what a stop has cut
            await retry(partial(self._give_up, image, upload), on=Unavailable)
            raise

    async def download(self, viewer: Viewer, id: str) -> tuple[Image, AsyncGenerator[bytes, None] | None]:
        """An image and its data, None while it has none. Raises NotFound, Forbidden for a deactivated one."""
        image = await self.show(viewer, id)
        if image.status is ImageStatus.DEACTIVATED and not viewer.is_admin:
            raise Forbidden(f"The requested image {id} has been deactivated. Image data download is forbidden.")
        has_data = image.status in (ImageStatus.ACTIVE, ImageStatus.DEACTIVATED) and image.size
        return image, self.files.read(image.id) if has_data else None

    def _begun(self, image: Image, *, viewer: Viewer, upload: str) -> Image:
        image.require_owner(viewer)
        if image.disk_format is None or image.container_format is None:
            raise Invalid("Properties disk_format, container_format must be set prior to saving data.")
        return upload_begun(image, upload, self.clock.now())

    async def _give_up(self, image: ImageId, upload: str) -> None:
        """Take an upload back. Repeatable."""
        try:
            after = await self.store.update(image, WE, partial(upload_failed, upload=upload, now=self.clock.now()))
            is_unused = after.status is ImageStatus.QUEUED
        except NotFound:
            is_unused = True  # deleted while it was uploaded
        if is_unused:
            await self.files.delete(image)


def _gives_away(step: Change, viewer: Viewer) -> bool:
    """Whether an admin gives the image another owner, which nobody else may."""
    return step.name == "owner" and step.verb == "replace" and viewer.is_admin


def _given_away(image: Image, steps: Sequence[Change], viewer: Viewer) -> Image:
    """The image with the owner that an admin gives it. Raises Invalid."""
    for step in steps:
        if _gives_away(step, viewer):
            if not isinstance(step.value, str) or not 0 < len(step.value) <= 64:
                raise Invalid("Invalid input: an owner is the id of a project.")
            image = replace(image, owner=ProjectId(step.value))
    return image


def _id(fields: Mapping[str, Any]) -> ImageId:
    """The id that a body asks for, or a new one. Raises Invalid."""
    if "id" not in fields:
        return ImageId(str(uuid4()))
    try:
        return ImageId(str(UUID(fields["id"])))
    except (ValueError, AttributeError, TypeError):
        raise Invalid("Invalid input: 'id' must be a UUID.") from None


def _require_right_to_publish(image: Image, viewer: Viewer) -> None:
    if image.visibility is Visibility.PUBLIC and not viewer.is_admin:
        raise Forbidden("You are not authorized to complete publicize_image action.")


def _require_deletable(image: Image, *, viewer: Viewer) -> None:
    image.require_owner(viewer)
    if image.is_protected:
        raise Forbidden(f"Image {image.id} is protected and cannot be deleted.")
