"""What compute asks of the image service, through the public Image API."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from moorage.domain.ids import ImageId, ProjectId


@dataclass(frozen=True)
class ImageInfo:
    id: ImageId
    name: str
    status: str  # "active" once it has its data
    min_disk: int  # GiB
    min_ram: int  # MiB
    disk_format: str
    container_format: str
    properties: Mapping[str, str] = field(default_factory=dict)
    size: int = 0  # bytes


class ImageApi(Protocol):
    """Every call but `fetch` ends within 10 s. Both raise Unavailable and NotFound."""

    async def show(self, image: ImageId, project: ProjectId) -> ImageInfo:
        """An image that the project may use: its own, a public or a community one."""

    async def fetch(self, image: ImageId, into: Path) -> None:
        """Write the image's data to the file `into`, whole or not at all."""
