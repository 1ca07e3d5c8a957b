"""An image shared with other projects: its owner offers it, and each of them takes it into its lists, or does not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from moorage.domain.errors import Conflict, Forbidden, NotFound
from moorage.domain.ids import ImageId, ProjectId
from moorage.domain.image import Image, Member, MemberStatus, Viewer, Visibility
from moorage.seams.clock import Clock
from moorage.seams.image_store import ImageStore
from moorage.wire.json import Body
from moorage.wire.times import zulu

MOST_MEMBERS = 128  # of one image, as in Glance


class NewMember(Body):
    member: str


class ChangedMember(Body):
    status: Literal["pending", "accepted", "rejected"]


@dataclass(frozen=True)
class Sharing:
    """Each method raises NotFound for an image that the viewer does not see."""

    store: ImageStore
    clock: Clock

    async def members(self, viewer: Viewer, id: str) -> Sequence[Member]:
        """All of them for the owner; others see only that they are one."""
        image = await self.store.get(ImageId(id), viewer)
        return [member for member in image.members if image.is_owned_by(viewer) or member.project == viewer.project]

    async def member(self, viewer: Viewer, id: str, project: str) -> Member:
        """Raises NotFound for one that is not there, or not to be seen."""
        for member in await self.members(viewer, id):
            if member.project == project:
                return member
        raise _unknown(id, project)

    async def share(self, viewer: Viewer, id: str, project: str) -> Member:
        """Raises Forbidden for another's image, and one that is not "shared"; Conflict for a member already."""
        now = self.clock.now()
        member = Member(ProjectId(project), MemberStatus.PENDING, now, now)

        def change(image: Image) -> Image:
            image.require_owner(viewer)
            if image.visibility is not Visibility.SHARED:
                raise Forbidden(f"Image {id} is {image.visibility}: only one that is shared has members.")
            if image.member(project) is not None:
                raise Conflict(f"Image {id} is shared with {project} already.")
            if len(image.members) >= MOST_MEMBERS:
                raise Forbidden(f"An image is shared with {MOST_MEMBERS} projects at most.")
            return replace(image, members=(*image.members, member))

        await self.store.update(ImageId(id), viewer, change)
        return member

    async def answer(self, viewer: Viewer, id: str, project: str, status: MemberStatus) -> Member:
        """Take it, or do not. Raises NotFound for no member, Forbidden for all but the member."""

        def changed(member: Member) -> Member:
            return replace(member, status=status, updated_at=now) if member.project == project else member

        def change(image: Image) -> Image:
            if image.member(project) is None or not (image.is_owned_by(viewer) or viewer.project == project):
                raise _unknown(id, project)
            if viewer.project != project and not viewer.is_admin:
                raise Forbidden(f"Only project {project} itself can say whether it takes image {id}.")
            return replace(image, members=tuple(map(changed, image.members)))

        now = self.clock.now()
        image = await self.store.update(ImageId(id), viewer, change)
        member = image.member(project)
        assert member is not None
        return member

    async def unshare(self, viewer: Viewer, id: str, project: str) -> None:
        """Raises NotFound for no member, Forbidden for another's image."""

        def change(image: Image) -> Image:
            image.require_owner(viewer)
            if image.member(project) is None:
                raise _unknown(id, project)
            return replace(image, members=tuple(member for member in image.members if member.project != project))

        await self.store.update(ImageId(id), viewer, change)


def _unknown(id: str, project: str) -> NotFound:
    return NotFound(f"{project} not found in the member list of the image {id}.")


def member_view(id: str, member: Member) -> dict[str, Any]:
    return {
        "image_id": id,
        "member_id": member.project,
        "status": member.status.value,
        "created_at": zulu(member.created_at),
        "updated_at": zulu(member.updated_at),
        "schema": "/v2/schemas/member",
    }
