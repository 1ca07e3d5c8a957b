"""Rebuild: a server again, from an image, on the ports that it has; a boot like any other (hop asked)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from msgspec import UNSET, UnsetType

from moorage.compute_api.acting import Acting
from moorage.compute_api.asking import public_key, shown_image
from moorage.compute_api.limits import Limits
from moorage.compute_api.wanted import changes_of, checked_user_data, image_named, require_fitting
from moorage.domain.caller import Caller
from moorage.domain.errors import Invalid
from moorage.domain.server import Server, ServerEvent
from moorage.seams.image_api import ImageApi
from moorage.seams.server_store import ServerStore
from moorage.wire.compute import REBUILD_SINCE, Rebuild


@dataclass(frozen=True)
class Rebuilding:
    acting: Acting
    store: ServerStore
    images: ImageApi
    limits: Limits

    async def rebuild(self, server: str, wanted: Rebuild, caller: Caller, minor: int, request_id: str) -> Server:
        """The server as it will be. Raises NotFound, Invalid, Conflict, Exhausted, Unavailable; then it stays."""
        row = await self.acting.own(server, caller)
        require_version(wanted, minor)
        image = await shown_image(self.images, image_named(wanted.image_ref), row.project)
        require_fitting(row.flavor, image)
        changes: Mapping[str, Any] = {
            **changes_of(wanted, minor),
            **await self._changed_for_guest(row, wanted, caller),
            "image": image.id,
        }
        change: Callable[[Server], Server] = lambda before: replace(before, **changes)  # noqa: E731
        return await self.acting.do(server, ServerEvent.REBUILD, caller, request_id, change=change)

    async def _changed_for_guest(self, row: Server, wanted: Rebuild, caller: Caller) -> Mapping[str, Any]:
        """What the guest is told anew. Raises Invalid, Exhausted."""
        changes: dict[str, Any] = {}
        if not isinstance(wanted.metadata, UnsetType):
            limits = self.limits.with_own(await self.store.quotas(row.project))
            limits.require_metadata(wanted.metadata)
            changes["metadata"] = dict(wanted.metadata)
        if not isinstance(wanted.key_name, UnsetType):
            changes |= {
                "key_name": wanted.key_name,
                "key_data": await public_key(self.store, wanted.key_name, caller),
            }
        if not isinstance(wanted.user_data, UnsetType):
            changes["user_data"] = checked_user_data(wanted.user_data)
        return changes


def require_version(wanted: Rebuild, minor: int) -> None:
    """Raises Invalid for keys of another microversion, and for what is not offered."""
    for key, (first, last) in REBUILD_SINCE.items():
        if not first <= minor <= last and getattr(wanted, key) is not UNSET:
            raise Invalid(f"Additional properties are not allowed ('{key}' was unexpected)")
    if wanted.trusted_image_certificates:
        raise Invalid("Signatures of images are not verified here: trusted_image_certificates cannot be asked for.")
    if wanted.personality:
        raise Invalid("Personality files are not offered: use user_data.")
