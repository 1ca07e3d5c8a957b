"""A unit of work's Session that costs next to nothing where no rows become objects.

An ORM session takes four times as long as the connection beneath for a statement whose columns are all that is wanted
(86 and 23 µs here), and most of ours are of that kind: the row holds a document.
"""

from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Executable, Result, ScalarResult, Table
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import Select


class Unit(Session):
    """A Session inside the transaction of `connection`. It becomes one in earnest when it is first asked for something
    that takes objects: `add`, `get`, a select of entities."""

    def __init__(self, connection: Connection) -> None:
        self._beneath = connection
        self._is_session = False

    def end(self) -> None:
        """Write what objects were given or changed. The transaction is its owner's."""
        if self._is_session:
            self.commit()  # what `connection` has begun stays open
            self.close()

    # mypy is told what Session says of these; they do the same in less time.

    def execute(self, statement: Executable, params: Any = None, **more: Any) -> Result[Any]:
        if more or not _is_plain(statement):
            return super().execute(statement, params, **more)
        if self._is_session:
            self.flush()
        return self._beneath.execute(statement, params)

    def scalars(self, statement: Executable, params: Any = None, **more: Any) -> ScalarResult[Any]:
        return self.execute(statement, params, **more).scalars()

    def scalar(self, statement: Executable, params: Any = None, **more: Any) -> Any:
        return self.execute(statement, params, **more).scalar()

    def get_bind(self, *_: Any, **__: Any) -> Connection:
        return self._beneath

    def __getattr__(self, name: str) -> Any:
        """What a Session has and we lack so far."""
        if name.startswith("__") or self.__dict__.get("_is_session", True):
            raise AttributeError(name)
        self._is_session = True
        super().__init__(self._beneath, expire_on_commit=False, join_transaction_mode="rollback_only")
        return getattr(self, name)


@lru_cache(maxsize=1024)
def _is_plain(statement: Executable) -> bool:
    """Whether it is about tables and columns, not about objects."""
    if isinstance(statement, Select):
        told = statement.column_descriptions
        return all(column["expr"] is not column.get("entity", statement) for column in told)
    if isinstance(statement, UpdateBase):
        return type(statement.table) is Table  # a class's is one that says whose it is
    return True
