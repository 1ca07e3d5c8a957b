"""Where the data of images is kept."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Set
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

    async def being_written(self) -> Set[ImageId]:
        """The images that are written now, by this process or another that shares the place. Raises Unavailable."""

    async def clean(self, known: Callable[[], Awaitable[Set[ImageId]]]) -> None:
        """Remove what interrupted writes have left, and all data but that of images that are `known`; which are is
        asked once it is listed what is there, so that nothing that comes meanwhile is taken for a stranger's. What is
        being written stays. Repeatable. Raises Unavailable, and what `known` raises.
        """
