"""The image service's tables."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import JSON, BigInteger, ColumnElement, ForeignKey, String, and_, delete, or_, select, true
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from moorage.adapters.database.engine import Database
from moorage.adapters.database.schema import Schema
from moorage.adapters.database.times import micros, moment
from moorage.domain.errors import Conflict, NotFound
from moorage.domain.ids import ImageId, ProjectId
from moorage.domain.image import Image, ImageStatus, Member, MemberStatus, Viewer, Visibility


class ImageTables(DeclarativeBase):
    pass


class ImageRow(ImageTables):
    __tablename__ = "images"
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str | None] = mapped_column(String(255))
    owner: Mapped[str] = mapped_column(String(64), index=True)
    created_at: Mapped[int] = mapped_column(BigInteger)  # microseconds since 1970
    updated_at: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(String(16))
    visibility: Mapped[str] = mapped_column(String(16), index=True)
    disk_format: Mapped[str | None] = mapped_column(String(16))
    container_format: Mapped[str | None] = mapped_column(String(16))
    min_disk: Mapped[int]
    min_ram: Mapped[int]
    size: Mapped[int | None] = mapped_column(BigInteger)
    checksum: Mapped[str | None] = mapped_column(String(32))
    hash_value: Mapped[str | None] = mapped_column(String(128))
    is_protected: Mapped[bool]
    is_hidden: Mapped[bool]
    tags: Mapped[list[str]] = mapped_column(JSON)
    properties: Mapped[dict[str, str]] = mapped_column(JSON)
    upload: Mapped[str] = mapped_column(String(64))


class MemberRow(ImageTables):
    __tablename__ = "members"
    image: Mapped[str] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), primary_key=True)
    project: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)
    status: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[int] = mapped_column(BigInteger)
    updated_at: Mapped[int] = mapped_column(BigInteger)


IMAGE = Schema("image", ImageTables.metadata, head="0002", first_mark=242482360)


class DatabaseImageStore:
    """Fulfils seams.image_store.ImageStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, image: Image) -> None:
        def work(session: Session) -> None:
            if session.get(ImageRow, image.id) is not None:
                raise Conflict(f"Image ID {image.id} already exists!")
            session.add(_row(image))
            session.flush()
            session.add_all(_member_rows(image))

        await self._database.run(f"adding image {image.id}", work)

    async def get(self, id: ImageId, viewer: Viewer) -> Image:
        return await self._database.run(f"reading image {id}", lambda session: _get(session, id, viewer))

    async def find(
        self,
        viewer: Viewer,
        *,
        ids: Sequence[str] | None = None,
        visibility: Visibility | None = None,
        status: ImageStatus | None = None,
    ) -> Sequence[Image]:
        wanted = [_visible_to(viewer)]
        if ids is not None:
            wanted.append(ImageRow.id.in_(ids))
        if visibility is not None:
            wanted.append(ImageRow.visibility == visibility.value)
        if status is not None:
            wanted.append(ImageRow.status == status.value)

        def work(session: Session) -> list[Image]:
            members: dict[str, list[MemberRow]] = {}
            for row in session.scalars(select(MemberRow).join(ImageRow).where(*wanted).order_by(*_BY_AGE)):
                members.setdefault(row.image, []).append(row)
            return [_image(row, members.get(row.id, ())) for row in session.scalars(select(ImageRow).where(*wanted))]

        return await self._database.run("listing images", work)

    async def update(self, id: ImageId, viewer: Viewer, change: Callable[[Image], Image]) -> Image:
        def work(session: Session) -> Image:
            before = _get(session, id, viewer, is_locked=True)
            after = change(before)
            session.merge(_row(after))
            if after.members != before.members:
                session.execute(delete(MemberRow).where(MemberRow.image == id))
                session.add_all(_member_rows(after))
            return after

        return await self._database.run(f"changing image {id}", work)

    async def delete(self, id: ImageId, viewer: Viewer, check: Callable[[Image], None]) -> Image:
        def work(session: Session) -> Image:
            image = _get(session, id, viewer, is_locked=True)
            check(image)
            session.delete(session.get_one(ImageRow, id))
            return image

        return await self._database.run(f"deleting image {id}", work)


def _visible_to(viewer: Viewer) -> ColumnElement[bool]:
    """Image.is_visible_to, for the database."""
    if viewer.sees_all:
        return true()
    open_to_all = ImageRow.visibility.in_([Visibility.PUBLIC.value, Visibility.COMMUNITY.value])
    if viewer.project is None:
        return open_to_all
    shared = select(MemberRow.image).where(MemberRow.project == viewer.project)
    is_shared = and_(ImageRow.visibility == Visibility.SHARED.value, ImageRow.id.in_(shared))
    return or_(open_to_all, ImageRow.owner == viewer.project, is_shared)


def _get(session: Session, id: ImageId, viewer: Viewer, *, is_locked: bool = False) -> Image:
    query = select(ImageRow).where(ImageRow.id == id, _visible_to(viewer))
    row = session.scalar(query.with_for_update() if is_locked else query)
    if row is None:
        raise NotFound(f"No image found with ID {id}")
    return _image(row, session.scalars(select(MemberRow).where(MemberRow.image == id).order_by(*_BY_AGE)).all())


_BY_AGE = (MemberRow.created_at, MemberRow.project)


def _image(row: ImageRow, members: Sequence[MemberRow]) -> Image:
    values: dict[str, Any] = {column.key: getattr(row, column.key) for column in ImageRow.__table__.columns}
    return Image(
        **values
        | {
            "created_at": moment(row.created_at),
            "updated_at": moment(row.updated_at),
            "status": ImageStatus(row.status),
            "visibility": Visibility(row.visibility),
            "tags": tuple(row.tags),
            "members": tuple(map(_member, members)),
        }
    )


def _member(row: MemberRow) -> Member:
    return Member(ProjectId(row.project), MemberStatus(row.status), moment(row.created_at), moment(row.updated_at))


def _member_rows(image: Image) -> list[MemberRow]:
    return [
        MemberRow(
            image=image.id,
            project=member.project,
            status=member.status.value,
            created_at=micros(member.created_at),
            updated_at=micros(member.updated_at),
        )
        for member in image.members
    ]


def _row(image: Image) -> ImageRow:
    values = {name: value for name, value in vars(image).items() if name != "members"}
    return ImageRow(
        **values
        | {
            "created_at": micros(image.created_at),
            "updated_at": micros(image.updated_at),
            "status": image.status.value,
            "visibility": image.visibility.value,
            "tags": list(image.tags),
            "properties": dict(image.properties),
        }
    )
