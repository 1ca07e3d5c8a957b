"""A PostgreSQL of our own: one server, in a folder of its own, on a socket there; it ends with who started it."""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from moorage.domain.errors import Unavailable

UP_WITHIN = 50.0  # seconds; half a second on an idle machine
LOOK_EVERY = 0.01  # seconds
USER = "moorage"
# What is small: a server of this kind has a handful of clients, and its folder is deleted afterwards.
SETTINGS: Mapping[str, str] = {"shared_buffers": "32MB", "max_wal_senders": "0", "wal_level": "minimal"}


def binaries() -> Path:
    """Where initdb and postgres are. Raises Unavailable when there is no PostgreSQL on this machine."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[4]))
    found = str(debian[-1]) if debian else shutil.which("postgres")
    if found is None:
        raise Unavailable(
            "there is no PostgreSQL on this machine: RUNLEVEL=1 apt-get install --no-install-recommends postgresql"
        )
    return Path(found).resolve().parent


@asynccontextmanager
async def private_postgresql(place: Path) -> AsyncIterator["PrivatePostgresql"]:
    """A fresh server in `place`, for the length of the context. Raises Unavailable."""
    await asyncio.to_thread(place.mkdir, mode=0o700)
    server = PrivatePostgresql(place)
    try:
        await asyncio.to_thread(server.prepare)
        server.launch()
        await asyncio.to_thread(server.until_up)
        yield server
    finally:
        server.stop()


@dataclass
class PrivatePostgresql:
    """`place` is a folder that exists and is the server's alone: what it holds of an earlier life is kept.

    Root may not run PostgreSQL: then it runs as nobody, who must be able to pass through the folders above. Whoever may
    enter the folder is let in.
    """

    place: Path
    settings: Mapping[str, str] = field(default_factory=dict)  # more than SETTINGS, or others
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@/{database}?host={self.place}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def processes(self) -> Sequence[int]:
        """The first, and all its children."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [self.pid, *(int(pid) for pid in children.split())]

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def prepare(self) -> None:
        """Make its files, if there are none. Raises Unavailable."""
        if (self.place / "data" / "PG_VERSION").exists():
            return
        if os.geteuid() == 0:
            shutil.chown(self.place, "nobody")  # its group stays: root's own, to whom no privilege need be left
            self.place.chmod(0o750)
        options = [f"--username={USER}", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        self._run("initdb", f"--pgdata={self.place}/data", *options)

    def launch(self) -> None:
        """It begins to start, and ends with the thread that this is called in. Raises Unavailable."""
        self.prepare()
        settings = {**SETTINGS, "listen_addresses": "", "unix_socket_directories": str(self.place), **self.settings}
        command = [str(binaries() / "postgres"), "-D", f"{self.place}/data"]
        command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.place / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as(), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                start_new_session=True,  # a terminal's Ctrl-C is for who started us
            )

    def is_up(self) -> bool:
        """Whether it answers. Raises Unavailable, with its last words, when it has ended."""
        if self._process is None or self._process.poll() is not None:
            raise Unavailable(f"PostgreSQL ended as it started: {self._last_words()}")
        return self._run("pg_isready", "-q", f"--host={self.place}", check=False) == 0

    def start(self) -> None:
        """Returns when it answers. Raises Unavailable."""
        self.launch()
        self.until_up()

    def until_up(self) -> None:
        """Returns when it answers. Raises Unavailable."""
        until = time.monotonic() + UP_WITHIN
        while not self.is_up():
            if time.monotonic() > until:
                raise Unavailable(f"PostgreSQL does not answer after {UP_WITHIN:g} s: {self._last_words()}")
            time.sleep(LOOK_EVERY)

    def stop(self) -> None:
        """At once: whoever is connected is cut off. Fine when it does not run."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """All its processes at once, by SIGKILL. Fine when it does not run."""
        if self.is_running:
            for pid in self.processes()[::-1]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._end(signal.SIGKILL)

    def make_database(self, name: str) -> str:
        """Its URL. Raises Unavailable."""
        self._run("createdb", f"--host={self.place}", f"--username={USER}", name)
        return self.url(name)

    def ask(self, database: str, query: str) -> str:
        """What psql says."""
        command = [*self._as(), str(binaries() / "psql"), f"--host={self.place}", f"--username={USER}"]
        command += ["--no-psqlrc", "--tuples-only", "--no-align", f"--dbname={database}", f"--command={query}"]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, env=self._environment())
        return ran.stdout.strip()

    def _environment(self) -> dict[str, str]:
        return {"LC_ALL": "C.UTF-8", "PGPORT": self.settings.get("port", "5432")}  # of the socket's name, too

    def _as(self) -> list[str]:
        way = ["setpriv", "--pdeathsig", "INT"]
        return way if os.geteuid() != 0 else [*way, "--reuid=nobody", "--regid=nogroup", "--clear-groups"]

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(UP_WITHIN)

    def _run(self, program: str, *arguments: str, check: bool = True) -> int:
        command = [*self._as(), str(binaries() / program), *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, env=self._environment())
        if check and ran.returncode != 0:
            raise Unavailable(f"{program} failed: {' '.join(ran.stderr.split())[-500:]}")
        return ran.returncode

    def _last_words(self) -> str:
        try:
            said = (self.place / "log").read_text(errors="replace")
        except OSError:
            said = ""
        return " ".join(said.split())[-500:] or f"see the log in {self.place}"
