"""The image service's table."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import JSON, BigInteger, ColumnElement, String, or_, select, true
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from moorage.adapters.database.engine import Database
from moorage.adapters.database.schema import Schema
from moorage.adapters.database.times import micros, moment
from moorage.domain.errors import Conflict, NotFound
from moorage.domain.ids import ImageId
from moorage.domain.image import Image, ImageStatus, Viewer, Visibility


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


IMAGE = Schema("image", ImageTables.metadata, head="0001", first_mark=242482360)


class DatabaseImageStore:
    """Fulfils seams.image_store.ImageStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, image: Image) -> None:
        def work(session: Session) -> None:
            if session.get(ImageRow, image.id) is not None:
                raise Conflict(f"Image ID {image.id} already exists!")
            session.add(_row(image))

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
        query = select(ImageRow).where(_visible_to(viewer))
        if ids is not None:
            query = query.where(ImageRow.id.in_(ids))
        if visibility is not None:
            query = query.where(ImageRow.visibility == visibility.value)
        if status is not None:
            query = query.where(ImageRow.status == status.value)
        return await self._database.run(
            "listing images", lambda session: [_image(row) for row in session.scalars(query)]
        )

    async def update(self, id: ImageId, viewer: Viewer, change: Callable[[Image], Image]) -> Image:
        def work(session: Session) -> Image:
            after = change(_get(session, id, viewer, is_locked=True))
            session.merge(_row(after))
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
    return or_(open_to_all, ImageRow.owner == viewer.project) if viewer.project is not None else open_to_all


def _get(session: Session, id: ImageId, viewer: Viewer, *, is_locked: bool = False) -> Image:
    query = select(ImageRow).where(ImageRow.id == id, _visible_to(viewer))
    row = session.scalar(query.with_for_update() if is_locked else query)
    if row is None:
        raise NotFound(f"No image found with ID {id}")
    return _image(row)


def _image(row: ImageRow) -> Image:
    values: dict[str, Any] = {column.key: getattr(row, column.key) for column in ImageRow.__table__.columns}
    return Image(
        **values
        | {
            "created_at": moment(row.created_at),
            "updated_at": moment(row.updated_at),
            "status": ImageStatus(row.status),
            "visibility": Visibility(row.visibility),
            "tags": tuple(row.tags),
        }
    )


def _row(image: Image) -> ImageRow:
    return ImageRow(
        **vars(image)
        | {
            "created_at": micros(image.created_at),
            "updated_at": micros(image.updated_at),
            "status": image.status.value,
            "visibility": image.visibility.value,
            "tags": list(image.tags),
            "properties": dict(image.properties),
        }
    )
