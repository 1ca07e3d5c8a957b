"""What the stores ask of a database: units of work, one transaction each. `sqlite` and `postgresql` are two."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy.orm import Session

from moorage.adapters.database.bell import Bell

T = TypeVar("T")


class Database(Protocol):
    async def run(self, act: str, work: Callable[[Session], T]) -> T:
        """What `work` returns, in one transaction: committed when it returns, rolled back when it raises.

        `work` may be run again from its beginning: what it makes it must make anew, and it reaches for nothing but the
        session. Raises Conflict for a broken constraint, Full when the disk is, Unavailable when the database cannot
        be written or read for another reason.
        """

    def bell(self, name: str) -> Bell:
        """A bell of this name, for one that waits."""

    async def check(self) -> None:
        """Raises Unavailable when the database cannot be read."""

    async def close(self) -> None: ...
