"""Images: what is known of one, and its life from the first byte to the last."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from moorage.domain.errors import Conflict, Forbidden
from moorage.domain.ids import ImageId, ProjectId

HASH_ALGORITHM = "sha512"


class ImageStatus(StrEnum):
    QUEUED = "queued"
    SAVING = "saving"
    ACTIVE = "active"
    DEACTIVATED = "deactivated"


class ImageEvent(StrEnum):
    UPLOAD_BEGAN = "upload began"
    UPLOADED = "uploaded"
    UPLOAD_FAILED = "upload failed"
    DEACTIVATED = "deactivated"
    REACTIVATED = "reactivated"


class Visibility(StrEnum):
    PUBLIC = "public"
    COMMUNITY = "community"
    SHARED = "shared"
    PRIVATE = "private"


NEXT: Mapping[tuple[ImageStatus, ImageEvent], ImageStatus] = {
    (ImageStatus.QUEUED, ImageEvent.UPLOAD_BEGAN): ImageStatus.SAVING,
    (ImageStatus.SAVING, ImageEvent.UPLOADED): ImageStatus.ACTIVE,
    (ImageStatus.SAVING, ImageEvent.UPLOAD_FAILED): ImageStatus.QUEUED,
    (ImageStatus.QUEUED, ImageEvent.UPLOAD_FAILED): ImageStatus.QUEUED,  # told twice
    (ImageStatus.ACTIVE, ImageEvent.DEACTIVATED): ImageStatus.DEACTIVATED,
    (ImageStatus.DEACTIVATED, ImageEvent.DEACTIVATED): ImageStatus.DEACTIVATED,  # asked twice
    (ImageStatus.DEACTIVATED, ImageEvent.REACTIVATED): ImageStatus.ACTIVE,
    (ImageStatus.ACTIVE, ImageEvent.REACTIVATED): ImageStatus.ACTIVE,  # asked twice
}


@dataclass(frozen=True)
class Written:
    """What was stored of an image's data."""

    size: int  # bytes
    md5: str  # hex
    sha512: str  # hex


@dataclass(frozen=True)
class Viewer:
    """Whose eyes see images: those of a project; an admin's, which see all; a service's, which see all and own none."""

    project: ProjectId | None
    is_admin: bool = False
    is_service: bool = False

    @property
    def sees_all(self) -> bool:
        return self.is_admin or self.is_service


class MemberStatus(StrEnum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Member:
    """A project with which an image is shared; in its lists the image stands once it is accepted."""

    project: ProjectId
    status: MemberStatus
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Image:
    id: ImageId
    name: str | None
    owner: ProjectId
    created_at: datetime
    updated_at: datetime
    status: ImageStatus = ImageStatus.QUEUED
    visibility: Visibility = Visibility.SHARED
    disk_format: str | None = None
    container_format: str | None = None
    min_disk: int = 0  # GiB
    min_ram: int = 0  # MiB
    size: int | None = None  # bytes, None before there is data
    checksum: str | None = None  # md5, hex
    hash_value: str | None = None  # HASH_ALGORITHM, hex
    is_protected: bool = False
    is_hidden: bool = False
    tags: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    members: tuple[Member, ...] = ()  # count while it is shared
    upload: str = ""  # names the upload that made it SAVING; another's end is not its end

    def is_visible_to(self, viewer: Viewer) -> bool:
        """Whether `viewer` may know of it. Stores say the same in their queries."""
        return (
            viewer.sees_all
            or self.visibility in (Visibility.PUBLIC, Visibility.COMMUNITY)
            or (viewer.project is not None and self.owner == viewer.project)
            or self.membership_of(viewer) is not None
        )

    def member(self, project: str | None) -> Member | None:
        return next((member for member in self.members if member.project == project), None)

    def membership_of(self, viewer: Viewer) -> Member | None:
        """What makes `viewer` see an image that is shared with its project."""
        return self.member(viewer.project) if self.visibility is Visibility.SHARED else None

    def is_owned_by(self, viewer: Viewer) -> bool:
        """Whether `viewer` owns it, or sees all that owners see."""
        return viewer.sees_all or self.owner == viewer.project

    def require_owner(self, viewer: Viewer) -> None:
        """Raises Forbidden for those who see it and do not own it."""
        if not (viewer.is_admin or self.owner == viewer.project):
            raise Forbidden(f"You are not permitted to change image {self.id}: it is another project's.")


def moved(image: Image, event: ImageEvent, now: datetime) -> Image:
    """The image after `event`. Raises Conflict when that cannot happen to it now."""
    status = NEXT.get((image.status, event))
    if status is None:
        raise Conflict(f"Image {image.id} is {image.status}: it cannot be {event}.")
    return replace(image, status=status, updated_at=now) if status is not image.status else image


def upload_begun(image: Image, upload: str, now: datetime) -> Image:
    """The image while `upload` writes its data. Raises Conflict when it has data, or gets some already."""
    if image.status is not ImageStatus.QUEUED:
        raise Conflict(f"Image status transition from {image.status} to saving is not allowed.")
    return replace(moved(image, ImageEvent.UPLOAD_BEGAN, now), upload=upload)


def uploaded(image: Image, upload: str, written: Written, now: datetime) -> Image:
    """The image with its data. Raises Conflict when `upload` is not the one that it waits for."""
    if image.upload != upload:
        raise Conflict(f"Image {image.id} no longer waits for this upload.")
    return replace(
        moved(image, ImageEvent.UPLOADED, now),
        size=written.size,
        checksum=written.md5,
        hash_value=written.sha512,
        upload="",
    )


def upload_failed(image: Image, upload: str, now: datetime) -> Image:
    """The image as it was before `upload`, or as it is when another has taken over."""
    if image.upload != upload or image.status is not ImageStatus.SAVING:
        return image
    return replace(moved(image, ImageEvent.UPLOAD_FAILED, now), upload="")
