"""Where the image service keeps what it knows of images."""

from collections.abc import Callable, Sequence
from typing import Protocol

from moorage.domain.ids import ImageId
from moorage.domain.image import Image, ImageStatus, Viewer, Visibility


class ImageStore(Protocol):
    """Each call is one transaction. What a viewer may not see does not exist for it. All raise Unavailable."""

    async def add(self, image: Image) -> None:
        """Raises Conflict when the id is taken."""

    async def get(self, id: ImageId, viewer: Viewer) -> Image:
        """Raises NotFound."""

    async def find(
        self,
        viewer: Viewer,
        *,
        ids: Sequence[str] | None = None,
        visibility: Visibility | None = None,
        status: ImageStatus | None = None,
    ) -> Sequence[Image]:
        """The images that `viewer` sees and that match, in no order."""

    async def update(self, id: ImageId, viewer: Viewer, change: Callable[[Image], Image]) -> Image:
        """What `change` makes of the image as it is now; it may raise, then nothing changes, and be called again.

        Raises NotFound.
        """

    async def delete(self, id: ImageId, viewer: Viewer, check: Callable[[Image], None]) -> Image:
        """Forget the image unless `check` raises; what it was. Raises NotFound."""
