"""Flavors' part of a transaction, and who may use those that are not public."""

from collections.abc import Callable, Sequence
from typing import cast

import msgspec
from sqlalchemy import Table, bindparam, select
from sqlalchemy.orm import Session
from sqlalchemy.sql import delete, insert, update

from moorage.adapters.database.compute_tables import FlavorAccessRow, FlavorRow, touched
from moorage.domain.errors import Conflict, NotFound
from moorage.domain.ids import ProjectId
from moorage.domain.server import Flavor

_encode = msgspec.json.Encoder().encode
_flavor_of = msgspec.json.Decoder(Flavor).decode


def flavors(session: Session) -> Sequence[Flavor]:
    query = select(FlavorRow.document).order_by(FlavorRow.number)
    return [_flavor_of(document) for document in session.scalars(query)]


def flavor(session: Session, flavor: str, *, is_locked: bool = False) -> Flavor:
    document = session.scalar(_LOCK if is_locked else _SHOW, {"key": flavor})
    if document is None:
        raise NotFound(f"Flavor {flavor} could not be found.", kind="FlavorNotFound")
    return _flavor_of(document)


def add(session: Session, flavor: Flavor) -> None:
    if session.scalar(select(FlavorRow.id).where(FlavorRow.id == flavor.id)) is not None:
        raise Conflict(f"Flavor with ID {flavor.id} already exists.")
    if session.scalar(select(FlavorRow.id).where(FlavorRow.name == flavor.name)) is not None:
        raise Conflict(f"Flavor with name {flavor.name} already exists.")
    session.execute(insert(FlavorRow).values(id=flavor.id, name=flavor.name, document=_encode(flavor)))


def change(session: Session, of: str, rule: Callable[[Flavor], Flavor]) -> Flavor:
    after = rule(flavor(session, of, is_locked=True))
    session.execute(update(FlavorRow).where(FlavorRow.id == of).values(document=_encode(after)))
    return after


def remove(session: Session, flavor: str) -> None:
    if not touched(session.execute(delete(FlavorRow).where(FlavorRow.id == flavor))):
        raise NotFound(f"Flavor {flavor} could not be found.")


def access(session: Session, flavor: str) -> Sequence[ProjectId]:
    query = select(FlavorAccessRow.project).where(FlavorAccessRow.flavor == flavor)
    return [ProjectId(project) for project in session.scalars(query)]


def grant(session: Session, flavor: str, project: str) -> None:
    if session.get(FlavorAccessRow, (flavor, project)) is not None:
        raise Conflict(f"Flavor access already exists for flavor {flavor} and project {project} combination.")
    session.execute(insert(FlavorAccessRow).values(flavor=flavor, project=project))


def revoke(session: Session, flavor: str, project: str) -> None:
    granted = delete(FlavorAccessRow).where(FlavorAccessRow.flavor == flavor, FlavorAccessRow.project == project)
    if not touched(session.execute(granted)):
        raise NotFound(f"Flavor access not found for {flavor} / {project} combination.")


_FLAVORS = cast(Table, FlavorRow.__table__)
_SHOW = select(_FLAVORS.c.document).where(_FLAVORS.c.id == bindparam("key"))
_LOCK = _SHOW.with_for_update()
