"""Keypairs' part of a transaction."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlalchemy.sql import delete

from moorage.adapters.database.compute_tables import KeypairRow, touched
from moorage.adapters.database.locks import hold
from moorage.adapters.database.times import micros, moment
from moorage.domain.errors import Conflict, Exhausted, NotFound
from moorage.domain.ids import UserId
from moorage.seams.server_store import Keypair


def keypairs(session: Session, user: str) -> Sequence[Keypair]:
    query = select(KeypairRow).where(KeypairRow.user == user).order_by(KeypairRow.name)
    return [_keypair_of(row) for row in session.scalars(query)]


def keypair(session: Session, user: str, name: str) -> Keypair:
    row = session.scalar(select(KeypairRow).where(KeypairRow.user == user, KeypairRow.name == name))
    if row is None:
        raise NotFound(f"Keypair {name} not found for user {user}")
    return _keypair_of(row)


def add(session: Session, keypair: Keypair, limit: int) -> Keypair:
    hold(session, f"keypairs of {keypair.user}")
    own = list(session.scalars(select(KeypairRow.name).where(KeypairRow.user == keypair.user)))
    if keypair.name in own:
        raise Conflict(f"Key pair '{keypair.name}' already exists.")
    if 0 <= limit <= len(own):
        raise Exhausted("Quota exceeded, too many key pairs.")
    row = KeypairRow(
        user=keypair.user,
        name=keypair.name,
        type=keypair.type,
        public_key=keypair.public_key,
        fingerprint=keypair.fingerprint,
        created=micros(keypair.created),
    )
    session.add(row)
    session.flush()
    return replace(keypair, id=row.number)


def remove(session: Session, user: str, name: str) -> None:
    if not touched(session.execute(delete(KeypairRow).where(KeypairRow.user == user, KeypairRow.name == name))):
        raise NotFound(f"Keypair {name} not found for user {user}")


def _keypair_of(row: KeypairRow) -> Keypair:
    return Keypair(
        id=row.number,
        user=UserId(row.user),
        name=row.name,
        type=row.type,
        public_key=row.public_key,
        fingerprint=row.fingerprint,
        created=moment(row.created),
    )
