"""Locks on what is no row: sums and choices over many of them."""

from hashlib import blake2b

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

_HOLD = select(func.pg_advisory_xact_lock(bindparam("key")))


def hold(session: Session, *names: str) -> None:
    """Until this transaction ends no other holds one of these names. SQLite has one writer anyway."""
    if session.get_bind().dialect.name == "postgresql":
        for key in sorted({_key(name) for name in names}):
            session.execute(_HOLD, {"key": key})


def _key(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), signed=True)
