"""The clients of OpenStack, run in .venv-compat against a cloud: the `openstack` command, its session, plain HTTP."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

CHECKOUT = Path(__file__).parents[2]
COMPAT = CHECKOUT / ".venv-compat" / "bin"
HERE = Path(__file__).parent
LONGEST = 18.0  # seconds, for one command; the test that runs it has 20


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def message(self) -> str:
        """What the client told its user, for a command that had to fail."""
        assert self.code != 0, self.out
        return self.err.strip()


@dataclass(frozen=True)
class Place:
    """Where a cloud is: what clients need to find it."""

    url: str
    clouds_yaml: Path
    home: Path

    def environ(self, cloud: str = "moorage") -> dict[str, str]:
        rest = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        return {**rest, "OS_CLIENT_CONFIG_FILE": str(self.clouds_yaml), "OS_CLOUD": cloud, "HOME": str(self.home)}


def openstack(place: Place, *arguments: str, cloud: str = "moorage") -> Ended:
    """One genuine run of `openstack`: about 1.5 s."""
    ended = subprocess.run(
        [COMPAT / "openstack", *arguments],
        env=place.environ(cloud),
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def run_script(place: Place, script: str, *arguments: str) -> Any:
    """The JSON that a script beside this file prints, run by the Python that has the clients."""
    ended = subprocess.run(
        [COMPAT / "python", HERE / script, *arguments],
        env=place.environ(),
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr).json


class Session:
    """`openstack` commands run one after another: in one interpreter for each user, not a new one for each command."""

    def __init__(self, processes: "Mapping[str, subprocess.Popen[str]]") -> None:
        self._processes = processes

    def run(self, *arguments: str, cloud: str = "moorage") -> Ended:
        process = self._processes[cloud]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(arguments) + "\n")
        process.stdin.flush()
        return Ended(**json.loads(process.stdout.readline()))

    def json(self, *arguments: str, cloud: str = "moorage") -> Any:
        return self.run(*arguments, "-f", "json", cloud=cloud).json

    def admin(self, *arguments: str) -> Any:
        return self.json(*arguments, cloud="moorage-admin")

    def do(self, *arguments: str, cloud: str = "moorage") -> str:
        """A command that must succeed; what it prints."""
        ended = self.run(*arguments, cloud=cloud)
        assert ended.code == 0, ended.err
        return ended.out

    def until(self, status: str, server: str) -> dict[str, Any]:
        """The server, when it has this status and no task."""

        def shown() -> dict[str, Any] | None:
            found: dict[str, Any] = self.json("server", "show", server)
            return found if (found["status"], found["OS-EXT-STS:task_state"]) == (status, None) else None

        found: dict[str, Any] = soon(shown)
        return found


@contextmanager
def session(place: Place) -> Iterator[Session]:
    with ExitStack() as stack:
        yield Session(
            {cloud: stack.enter_context(_interpreter(place, cloud)) for cloud in ("moorage", "moorage-admin")}
        )


@contextmanager
def _interpreter(place: Place, cloud: str) -> "Iterator[subprocess.Popen[str]]":
    with subprocess.Popen(
        [COMPAT / "python", HERE / "openstack_session.py"],
        env=place.environ(cloud),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        try:
            yield process
        finally:
            process.stdin.close()


def soon(found: Callable[[], Any], within: float = 10.0) -> Any:
    """What `found` gives, when it gives something; asked again and again for `within` seconds."""
    deadline = time.monotonic() + within
    while not (something := found()):
        assert time.monotonic() < deadline, f"not within {within:g} s"
        time.sleep(0.02)
    return something


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def fault(self) -> tuple[int, str, str]:
        """A compute error: its code, name and message."""
        assert self.headers["content-type"] == "application/json"
        [(name, fault)] = self.json.items()
        assert fault["code"] == self.status
        return self.status, name, fault["message"]

    @property
    def neutron_error(self) -> tuple[int, str, str]:
        """A network error: its status, type and message."""
        assert self.headers["content-type"] == "application/json"
        error = self.json["NeutronError"]
        assert set(error) == {"type", "message", "detail"}
        return self.status, error["type"], error["message"]


@dataclass(frozen=True)
class Http:
    """Plain HTTP with one user's token, to see what goes over the wire."""

    base: str
    token: str

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        version: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """`body` is sent as JSON, `raw` as it is; `version` is a compute microversion."""
        given = {"X-Auth-Token": self.token, "Content-Type": "application/json", **(headers or {})}
        if version is not None:
            given["OpenStack-API-Version"] = f"compute {version}"
        data = raw if raw is not None or body is None else json.dumps(body).encode()
        request = Request(self.base + path, data=data, headers=given, method=method)
        try:
            with urlopen(request, timeout=LONGEST) as answer:
                return Answer(answer.status, lower(answer.headers), answer.read())
        except HTTPError as error:
            with error:
                return Answer(error.code, lower(error.headers), error.read())

    def get(self, path: str, **options: Any) -> Any:
        answer = self.call("GET", path, **options)
        assert answer.status == 200, answer.body
        return answer.json


def lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
