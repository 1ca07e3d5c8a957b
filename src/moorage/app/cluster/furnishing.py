"""What a new cluster holds: the image moorage-guest and the network `private`, made through the APIs."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from moorage.app.boots import IMAGE, NETWORK
from moorage.app.client import Client
from moorage.app.cluster.layout import Layout
from moorage.app.config import HostKind
from moorage.app.first_start import CIDR


async def furnish(admin: Client, member: Client, layout: Layout) -> None:
    await _make_image(admin, layout)
    made = await member.call("POST", "network", "/v2.0/networks", {"network": {"name": NETWORK}})
    subnet = {"network_id": made["network"]["id"], "ip_version": 4, "cidr": CIDR, "name": f"{NETWORK}-subnet"}
    await member.call("POST", "network", "/v2.0/subnets", {"subnet": subnet})


async def _make_image(admin: Client, layout: Layout) -> None:
    if layout.kind is not HostKind.QEMU:
        await _image(admin, IMAGE, "raw", "bare", bytes(512))  # guests boot from nothing
        return
    from moorage.adapters.guest_image.build import guest_image

    built = await guest_image(layout.cache, lambda _: None)
    assert built.kernel is not None
    assert built.ramdisk is not None
    more = {
        "kernel_id": await _image(admin, f"{IMAGE}-kernel", "aki", "aki", built.kernel),
        "ramdisk_id": await _image(admin, f"{IMAGE}-ramdisk", "ari", "ari", built.ramdisk),
        "os_command_line": built.command_line,
    }
    await _image(admin, IMAGE, "ami", "ami", b"", more)


async def _image(
    admin: Client, name: str, disk: str, container: str, data: bytes | Path, more: Mapping[str, str] | None = None
) -> str:
    """A public image with its data: its id."""
    body = {"name": name, "disk_format": disk, "container_format": container, "visibility": "public", **(more or {})}
    image = str((await admin.call("POST", "image", "/v2/images", body))["id"])
    await admin.upload(image, data if isinstance(data, bytes) else await asyncio.to_thread(data.read_bytes))
    return image
