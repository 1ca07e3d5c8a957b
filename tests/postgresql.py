"""A PostgreSQL of the tests' own, gone when they end, also when they are killed."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moorage.adapters.database.server import PrivatePostgresql

SETTINGS = {
    "fsync": "off",  # nobody cuts the power of a test
    "full_page_writes": "off",
    "autovacuum": "off",
    "deadlock_timeout": "30s",  # one is not to be mended, but to be seen: as a lock that was not given in time
}


class Server(PrivatePostgresql):
    """Its URLs have a password, which is not asked for: it must be shown nowhere."""

    def url(self, database: str = "postgres") -> str:
        return super().url(database).replace("moorage@", "moorage:not-asked-for@")


@contextmanager
def postgresql() -> Iterator[Server]:
    """A server that runs."""
    with tempfile.TemporaryDirectory(prefix="moorage-postgresql-") as directory:
        server = Server(Path(directory), SETTINGS)
        server.start()
        try:
            yield server
        finally:
            server.stop()
