"""A PostgreSQL of the tests' own: in a folder of its own, on a socket there, gone when they end."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

SETTINGS = {
    "fsync": "off",  # nobody cuts the power of a test
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "autovacuum": "off",
    "deadlock_timeout": "30s",  # one is not to be mended, but to be seen: as a lock that was not given in time
}
START_LIMIT = 50.0  # seconds


def binaries() -> Path:
    """Where initdb and postgres are."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[4]))
    found = str(debian[-1]) if debian else shutil.which("postgres")
    assert found is not None, "there is no PostgreSQL: script/setup installs it, as root"
    return Path(found).resolve().parent


class Server:
    """PostgreSQL, which root may not run: as nobody then. It ends with the tests, also when they are killed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._as = ["setpriv", "--pdeathsig", "INT"]
        if os.geteuid() == 0:
            shutil.chown(directory, "nobody", "nogroup")
            self._as += ["--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        options = ["--username=moorage", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        self._run("initdb", f"--pgdata={directory}/data", *options)
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://moorage:not-asked-for@/{database}?host={self._directory}"

    def start(self) -> None:
        settings = {**SETTINGS, "listen_addresses": "", "unix_socket_directories": str(self._directory)}
        command = [str(binaries() / "postgres"), "-D", f"{self._directory}/data"]
        command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen([*self._as, *command], stdout=log, stderr=log, env={"LC_ALL": "C.UTF-8"})
        until = time.monotonic() + START_LIMIT
        while self._run("pg_isready", "-q", f"--host={self._directory}", check=False) != 0:
            assert time.monotonic() < until, (self._directory / "log").read_text()
            time.sleep(0.01)

    def stop(self) -> None:
        """At once: whoever is connected is cut off."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """As a crash would: what was not in the log on disk is gone."""
        self._end(signal.SIGQUIT)

    def crash(self) -> None:
        """All its processes at once, as SIGKILL does."""
        for pid in [*self.processes()[1:], self.processes()[0]]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._end(signal.SIGKILL)

    def make_database(self, name: str) -> str:
        """Its URL."""
        self._run("createdb", f"--host={self._directory}", "--username=moorage", name)
        return self.url(name)

    def ask(self, database: str, query: str) -> str:
        """What psql says."""
        command = [*self._as, str(binaries() / "psql"), f"--host={self._directory}", "--username=moorage"]
        command += ["--no-psqlrc", "--tuples-only", "--no-align", f"--dbname={database}", f"--command={query}"]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, env={"LC_ALL": "C.UTF-8"})
        return ran.stdout.strip()

    def processes(self) -> Sequence[int]:
        """The server's own: the first and all its children."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return [self._process.pid, *(int(pid) for pid in children.split())]

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_LIMIT)
            self._process = None

    def _run(self, program: str, *arguments: str, check: bool = True) -> int:
        command = [*self._as, str(binaries() / program), *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, env={"LC_ALL": "C.UTF-8"})
        assert ran.returncode == 0 or not check, ran.stderr
        return ran.returncode


@contextmanager
def postgresql() -> Iterator[Server]:
    """A server that runs."""
    with tempfile.TemporaryDirectory(prefix="moorage-postgresql-") as directory:
        server = Server(Path(directory))
        server.start()
        try:
            yield server
        finally:
            server.stop()
