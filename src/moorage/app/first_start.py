"""What a new cloud holds: the image moorage-guest, and the network `private` with its subnet."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

from moorage.app.config import CloudSettings, HostKind
from moorage.app.control_plane import ControlPlane
from moorage.domain.identity import Project
from moorage.domain.ids import ProjectId
from moorage.image.bootstrap import register_guest, register_placeholder

NETWORK = "private"
CIDR = "10.0.0.0/24"
PIECE = 1 << 20  # bytes


async def first_start(plane: ControlPlane, settings: CloudSettings, progress: Callable[[str], None]) -> None:
    """Make the image (each start: a newer Moorage brings a newer one) and, once, the network."""
    project = await _project(plane, "admin")
    if settings.host_kind is HostKind.QEMU:
        from moorage.adapters.guest_image.build import guest_image

        built = await guest_image(settings.cache_dir or settings.state_dir / "cache", progress)
        assert built.kernel is not None
        assert built.ramdisk is not None
        await register_guest(
            plane.image,
            project,
            kernel=partial(_pieces, built.kernel),
            ramdisk=partial(_pieces, built.ramdisk),
            command_line=built.command_line,
        )
    else:
        await register_placeholder(plane.image, project)
    mark = settings.state_dir / "first-start-done"
    if not mark.exists():
        await _make_network(plane)
        mark.touch()


async def _make_network(plane: ControlPlane) -> None:
    """As the user demo would, through the API; what is there already is left alone."""
    session = plane.session("network", user="demo", project="demo")
    found = (await session.json("GET", f"/v2.0/networks?name={NETWORK}"))["networks"]
    if not found:
        found = [(await session.json("POST", "/v2.0/networks", {"network": {"name": NETWORK}}))["network"]]
    if not found[0]["subnets"]:
        subnet = {"network_id": found[0]["id"], "ip_version": 4, "cidr": CIDR, "name": f"{NETWORK}-subnet"}
        await session.json("POST", "/v2.0/subnets", {"subnet": subnet})


async def _project(plane: ControlPlane, name: str) -> ProjectId:
    [project] = await plane.identity.store.find(Project, {"name": name, "domain_id": "default"})
    return ProjectId(project.id)


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
