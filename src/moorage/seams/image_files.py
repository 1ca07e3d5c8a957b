"""Where the data of images is kept."""

from collections.abc import AsyncGenerator, AsyncIterator, Set
from typing import Protocol

from moorage.domain.ids import ImageId
from moorage.domain.image import Written


class ImageFiles(Protocol):
    async def write(self, image: ImageId, parts: AsyncIterator[bytes], *, limit: int) -> Written:
        """Keep what `parts` yields, whole or not at all: what was there before stays until all of it is here.

        Raises TooLarge when there are more than `limit` bytes, Full when the disk is, Unavailable when they cannot be
        kept for another reason, and what `parts` raises. Two writes of one image at a time do not mix: the later end
        wins.
        """

    def read(self, image: ImageId) -> AsyncGenerator[bytes, None]:
        """The data in pieces of up to 1 MiB; whoever leaves early closes it.

        Raises NotFound at the first piece, Unavailable.
        """

    async def delete(self, image: ImageId) -> None:
        """Repeatable. Raises Unavailable."""

    async def clean(self, keep: Set[ImageId]) -> None:
        """Remove all but the data of these images, and what interrupted writes have left; none may be under way.

        Repeatable. Raises Unavailable.
        """
