"""Images on the host's own disk: which files a guest is given."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from moorage.compute.images import Images
from moorage.domain.errors import Invalid, NotFound
from moorage.domain.ids import ImageId, ProjectId
from moorage.seams.hypervisor import GuestImage
from moorage.seams.image_api import ImageInfo

MINE, THEIRS = ProjectId("mine"), ProjectId("theirs")
AMI, DISK, KERNEL, RAMDISK, SECRET = (ImageId(f"{number}0000000-0000-4000-8000-000000000001") for number in range(1, 6))


class Glance:
    """Fulfils ImageApi."""

    def __init__(self) -> None:
        self.known = {
            AMI: _info(AMI, "ami", {"kernel_id": KERNEL, "ramdisk_id": RAMDISK, "os_command_line": "quiet"}),
            DISK: _info(DISK, "qcow2"),
            KERNEL: _info(KERNEL, "aki"),
            RAMDISK: _info(RAMDISK, "ari"),
            SECRET: _info(SECRET, "ari"),
        }
        self.private = {SECRET: THEIRS}
        self.fetched: list[Path] = []

    async def show(self, image: ImageId, project: ProjectId) -> ImageInfo:
        if image not in self.known or self.private.get(image, project) != project:
            raise NotFound(f"No image found with ID {image}")
        return self.known[image]

    async def fetch(self, image: ImageId, into: Path) -> None:
        self.fetched.append(into)
        into.write_text(image)


def _info(image: ImageId, disk_format: str, properties: Mapping[str, str] | None = None) -> ImageInfo:
    return ImageInfo(image, "one", "active", 0, 0, disk_format, "bare", properties or {})


async def test_a_disk_is_fetched_once(tmp_path: Path) -> None:
    glance = Glance()
    images = Images(glance, tmp_path)
    for _ in range(2):
        assert await images.ready(DISK, MINE) == GuestImage(disk=tmp_path / DISK, disk_format="qcow2")
    assert glance.fetched == [tmp_path / DISK]


async def test_a_kernel_comes_with_its_ramdisk_and_command_line(tmp_path: Path) -> None:
    found = await Images(Glance(), tmp_path).ready(AMI, MINE)
    assert found == GuestImage(kernel=tmp_path / KERNEL, ramdisk=tmp_path / RAMDISK, command_line="quiet")


@pytest.mark.parametrize("name", ["kernel_id", "ramdisk_id"])
@pytest.mark.parametrize("path", ["/etc/shadow", "../..", "../../etc/shadow", "x", f"{KERNEL}/../../x"])
async def test_a_path_in_the_place_of_an_id_is_refused_before_anything_is_fetched(
    tmp_path: Path, name: str, path: str
) -> None:
    glance = Glance()
    glance.known[AMI] = _info(AMI, "ami", {**glance.known[AMI].properties, name: path})
    with pytest.raises(Invalid, match="is no image's id"):
        await Images(glance, tmp_path).ready(AMI, MINE)
    assert glance.fetched == []


@pytest.mark.parametrize("name", ["kernel_id", "ramdisk_id"])
async def test_anothers_private_image_is_no_kernel_and_no_ramdisk(tmp_path: Path, name: str) -> None:
    glance = Glance()
    glance.known[AMI] = _info(AMI, "ami", {**glance.known[AMI].properties, name: SECRET})
    images = Images(glance, tmp_path)
    await images.ready(AMI, THEIRS)  # also when it is on this host's disk already
    glance.fetched.clear()
    with pytest.raises(NotFound):
        await images.ready(AMI, MINE)
    assert glance.fetched == []


@pytest.mark.parametrize("part", [KERNEL, RAMDISK])
async def test_a_kernel_without_data_boots_nothing(tmp_path: Path, part: ImageId) -> None:
    glance = Glance()
    glance.known[part] = replace(glance.known[part], status="queued")
    with pytest.raises(Invalid, match="no data"):
        await Images(glance, tmp_path).ready(AMI, MINE)
    assert glance.fetched == []
