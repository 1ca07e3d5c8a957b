"""The state directory of `moorage up`: what lies where, and that only one runs in it."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from moorage.app import processes, runtime
from moorage.domain.errors import Conflict, Invalid, Unavailable

FAILURES = "last-failure.log"


@dataclass(frozen=True)
class Running:
    """The cloud that runs in a state directory, as its own process has written it down."""

    pid: int
    started: int  # ticks since the machine's start
    listen: str  # 127.0.0.1:8780
    url: str
    host_kind: str


@dataclass(frozen=True)
class StateDir:
    path: Path

    @property
    def cloud(self) -> Path:
        """What the cloud itself keeps: databases, images, hosts."""
        return self.path / "cloud"

    @property
    def clouds_yaml(self) -> Path:
        return self.path / "clouds.yaml"

    @property
    def log(self) -> Path:
        return self.path / "moorage.log"

    @property
    def pid_file(self) -> Path:
        return self.path / "pid"

    @property
    def lock_file(self) -> Path:
        return self.path / "lock"

    def make(self) -> bool:
        """Make the directory, for its owner alone; whether it was not there. Raises Unavailable."""
        is_new = not self.path.exists()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
        except OSError as error:
            raise Unavailable(f"the state directory {self.path} cannot be used: {error.strerror}") from error
        return is_new

    def remove_if_empty(self) -> None:
        try:
            self.path.rmdir()
        except OSError:
            return  # not there, or holds files that are not ours

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the directory; one that is empty afterwards is removed, if it was made for this.

        Raises Conflict when another `moorage up` holds it, Unavailable when it cannot be written.
        """
        is_new = self.make()
        try:
            with self._locked():
                yield
        finally:
            if is_new:
                self.remove_if_empty()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        while True:
            try:
                file = self.lock_file.open("w")
            except OSError as error:
                raise Unavailable(f"{self.lock_file} cannot be written: {error.strerror}") from error
            with file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    running = self.running()
                    who = f" (pid {running.pid}, {running.url})" if running else ""
                    raise Conflict(
                        f"a cloud runs in {self.path} already{who}: `moorage down` ends it, --state-dir takes another "
                        f"place"
                    ) from error
                if not self._is_the_lock(file.fileno()):
                    continue  # whoever held it has removed it
                try:
                    yield
                except Exception:
                    if self.log.exists() and self.log.stat().st_size == 0:
                        self.log.unlink(missing_ok=True)
                    raise
                finally:
                    self.pid_file.unlink(missing_ok=True)
                    self.lock_file.unlink(missing_ok=True)
                return

    def _is_the_lock(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.lock_file.stat())
        except FileNotFoundError:
            return False

    def is_held(self) -> bool:
        """Whether a `moorage up` holds the directory, be it starting, running or closing."""
        try:
            with self.lock_file.open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def write_running(self, running: Running) -> None:
        write_private(self.pid_file, msgspec.json.encode(running).decode() + "\n")

    def running(self) -> Running | None:
        """Who runs here; None when nobody does, also when one was killed and could not say so."""
        try:
            running = msgspec.json.decode(self.pid_file.read_bytes(), type=Running)
        except (OSError, msgspec.MsgspecError):
            return None
        return running if processes.is_alive(running.pid, running.started) else None

    def purge(self) -> None:
        """Delete all that a cloud has kept here, and nothing that somebody else may have put here."""
        runtime.remove(self.cloud)
        shutil.rmtree(self.cloud, ignore_errors=True)
        for file in (self.clouds_yaml, self.log, self.pid_file, self.lock_file, self.path / FAILURES):
            file.unlink(missing_ok=True)
        self.remove_if_empty()


def failure_log(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the trace of a command's unforeseen failure goes, with the log of its cloud if it had one."""
    return default_state_dir(environ) / FAILURES


def default_state_dir(environ: Mapping[str, str] = os.environ) -> Path:
    return _home(environ, "XDG_STATE_HOME", ".local/state")


def default_cache_dir(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Where the guest image is kept between clouds; None for a user who has no place to write to."""
    found = _home(environ, "XDG_CACHE_HOME", ".cache")
    there = next(place for place in (found, *found.parents) if place.exists())
    return found if os.access(there, os.W_OK | os.X_OK) else None


def _home(environ: Mapping[str, str], variable: str, otherwise: str) -> Path:
    given = environ.get(variable, "")
    if given.startswith("/"):  # the XDG rules: a relative path is to be ignored
        return Path(given) / "moorage"
    return Path(environ.get("HOME") or "/") / otherwise / "moorage"


def parse_listen(text: str) -> tuple[str, int]:
    """ADDR:PORT as its two parts; an IPv6 address is in brackets. Raises Invalid."""
    address, _, port = text.rpartition(":")
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    is_bracketed = bare != address
    if not bare or (":" in bare) is not is_bracketed or re.fullmatch("[0-9]{1,5}", port) is None or int(port) > 65535:
        raise Invalid(f"'{text}' is no ADDR:PORT such as 127.0.0.1:8780 or [::1]:8780")
    return bare, int(port)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads; it is never seen half written. Raises Unavailable."""
    partial = path.with_name(path.name + ".new")
    try:
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        partial.rename(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise Unavailable(f"{path} cannot be written: {error.strerror}") from error
