"""Images' data in memory, whole or not at all, without threads: for story tests and simulations."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Set
from hashlib import md5, sha512

from moorage.domain.errors import Full, NotFound, TooLarge
from moorage.domain.ids import ImageId
from moorage.domain.image import Written

PIECE = 1 << 20  # bytes


class MemoryImages:
    """Fulfils seams.image_files.ImageFiles; the "disk" is full at `room` bytes."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.room = room
        self.data: dict[ImageId, bytes] = {}
        self._written: list[ImageId] = []

    async def write(self, image: ImageId, parts: AsyncIterator[bytes], *, limit: int) -> Written:
        held = bytearray()
        self._written.append(image)
        try:
            async for part in parts:
                held += part
                if len(held) > limit:
                    raise TooLarge(f"The image is larger than the {limit} bytes that are allowed.")
                if len(held) + sum(map(len, self.data.values())) > self.room:
                    raise Full(f"storing image {image}: no space left")
            self.data[image] = bytes(held)
        finally:
            self._written.remove(image)
        return Written(len(held), md5(held, usedforsecurity=False).hexdigest(), sha512(held).hexdigest())

    async def read(self, image: ImageId) -> AsyncGenerator[bytes, None]:
        data = self.data.get(image)
        if data is None:
            raise NotFound(f"No data was found for image {image}.")
        for start in range(0, len(data), PIECE):
            yield data[start : start + PIECE]

    async def delete(self, image: ImageId) -> None:
        self.data.pop(image, None)

    async def being_written(self) -> Set[ImageId]:
        return set(self._written)

    async def clean(self, known: Callable[[], Awaitable[Set[ImageId]]]) -> None:
        there = set(self.data)
        for image in there - await known():
            self.data.pop(image, None)
