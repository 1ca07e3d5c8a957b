"""What wakes those who wait for a change of the database, and tells who of them still lives."""

import asyncio
import secrets
from typing import Any, Protocol

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session


class Bell(Protocol):
    """One for each that waits. Whoever takes something in the database's name writes its own beside it."""

    def ring(self, session: Session) -> None:
        """In a transaction: all hear it once that is committed, in every process."""

    async def heard(self) -> None:
        """Returns once it has rung since this returned last (at once, the first time), and now and then without.

        Raises Unavailable.
        """

    async def name(self) -> int:
        """This one's among all; another one after the connection was lost. Raises Unavailable."""

    def is_gone(self, name: ColumnElement[Any]) -> ColumnElement[bool]:
        """Whether the one of that name lives no more."""


class LocalBell:
    """For a database of one process: whoever has another name is of a process that has ended."""

    def __init__(self) -> None:
        self._name = secrets.randbits(31)
        self._rung = asyncio.Event()
        self._rung.set()

    def ring(self, session: Session) -> None:
        self._rung.set()  # nobody runs before the transaction ends

    async def heard(self) -> None:
        await self._rung.wait()
        self._rung.clear()

    async def name(self) -> int:
        return self._name

    def is_gone(self, name: ColumnElement[Any]) -> ColumnElement[bool]:
        return name != self._name
