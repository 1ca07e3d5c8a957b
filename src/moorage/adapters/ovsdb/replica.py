"""The rows that we watch, as of the last word from the server."""

from collections.abc import Mapping
from typing import Any

from moorage.adapters.ovsdb.values import EMPTY, Kind, Value, read

Columns = Mapping[str, Mapping[str, Kind]]  # by table
Row = dict[str, Value]  # never changed, only replaced


class Replica:
    """Tables of rows by UUID, kept by the server's `table-updates2` (ovsdb-server(7), "Update2 Notification")."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.tables: dict[str, dict[str, Row]] = {table: {} for table in columns}

    def replace(self, updates: Mapping[str, Any]) -> None:
        """Forget everything, then apply."""
        self.tables = {table: {} for table in self.columns}
        self.apply(updates)

    def apply(self, updates: Mapping[str, Any]) -> None:
        """Carry a change out. Raises ValueError when it is about rows that we have never heard of."""
        try:
            self._apply(updates)
        except KeyError as error:
            raise ValueError(f"an update of an unknown row {error}") from error

    def _apply(self, updates: Mapping[str, Any]) -> None:
        for table, changes in updates.items():
            rows, kinds = self.tables[table], self.columns[table]
            for uuid, change in changes.items():
                if "delete" in change:
                    del rows[uuid]
                elif "modify" in change:
                    rows[uuid] = rows[uuid] | {
                        column: _changed(kinds[column], rows[uuid][column], read(kinds[column], notation))
                        for column, notation in (change["modify"] or {}).items()
                    }
                else:
                    given = change["initial"] if "initial" in change else change["insert"]
                    rows[uuid] = {
                        column: read(kind, given[column]) if column in given else EMPTY[kind]
                        for column, kind in kinds.items()
                    }


def _changed(kind: Kind, before: Value, difference: Value) -> Value:
    if kind is Kind.SET:  # members that came or went
        assert isinstance(before, tuple)
        assert isinstance(difference, tuple)
        gone = set(difference)
        was = set(before)
        return tuple([m for m in before if m not in gone] + [m for m in difference if m not in was])
    if kind is Kind.MAP:  # a pair that was there goes; any other comes, or takes the place of the one with its key
        assert isinstance(before, dict)
        assert isinstance(difference, dict)
        after = dict(before)
        for key, value in difference.items():
            if key in before and before[key] == value:
                del after[key]
            else:
                after[key] = value
        return after
    return difference
