"""A RabbitMQ of our own: one node, its ports on loopback, all its files in one folder; it ends with who started it."""

import asyncio
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Never

import structlog

from moorage.domain.errors import Unavailable

log = structlog.get_logger(__name__)

INSTALLED = "/usr/lib/rabbitmq/lib"
UP_WITHIN = 60.0  # seconds; 1.8 on an idle machine
LOOK_EVERY = 0.02  # seconds
KEEP_EVERY = 0.5  # seconds
USER = "moorage"
DEFINITIONS = "definitions.json"
URL_FILE = "url"  # in its folder: where it is, with its password
_NEEDED = re.compile(r"\{\s*applications\s*,\s*\[([^\]]*)\]")

# Whoever started us holds the other end of our stdin: when it is gone, however it went, so are we.
_END_WITH_OWNER = "spawn(fun() -> io:get_line(standard_io, []), erlang:halt(0, [{flush, false}]) end)."


@dataclass
class PrivateBroker:
    """`place` is a folder that exists and is the broker's alone: what it holds of an earlier life is kept."""

    place: Path
    terms: Sequence[str] = ()  # more settings of the application `rabbit`, in Erlang
    definitions: Mapping[str, Any] | None = None  # users beside its own, with what they may do
    port: int = 0
    control_port: int = 0  # Erlang's own, for erl_call and rabbitmqctl
    password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"amqp://{USER}:{self.password}@127.0.0.1:{self.port}/%2F"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def home(self) -> Path:
        """Where its cookie is, for tools that speak to it over `control_port`."""
        return self.place / "home"

    def launch(self) -> None:
        """It begins to start. Raises Unavailable when there is no RabbitMQ on this machine."""
        if not self.port:
            self.port, self.control_port = _free_ports(2)
        self._prepare(_installed())
        with (self.place / "output").open("ab") as output:
            self._process = subprocess.Popen(
                self._command_line(),
                env=self._environment(),
                cwd=self.place,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a terminal's Ctrl-C is for who started us
            )

    def is_up(self) -> bool:
        """Whether it takes connections. Raises Unavailable, with its last words, when it has ended."""
        if self._process is None or self._process.poll() is not None:
            raise Unavailable(f"RabbitMQ ended as it started: {self._last_words()}")
        with socket.socket() as trial:
            trial.settimeout(0.2)
            return trial.connect_ex(("127.0.0.1", self.port)) == 0

    async def start(self) -> None:
        """Returns when it takes connections. Raises Unavailable."""
        await asyncio.to_thread(self.launch)
        try:
            async with asyncio.timeout(UP_WITHIN):
                while not self.is_up():  # noqa: ASYNC110 - the outside world
                    await asyncio.sleep(LOOK_EVERY)
        except TimeoutError:
            raise Unavailable(f"RabbitMQ takes no connections after {UP_WITHIN:g} s: {self._last_words()}") from None

    async def keep(self) -> Never:
        """Start it again whenever it ends."""
        while True:
            await asyncio.sleep(KEEP_EVERY)
            if self._process is not None and self._process.poll() is not None:
                log.warning("RabbitMQ has ended; it is started again", words=self._last_words())
                self.stop()
                await self.start()

    def stop(self) -> None:
        """Kill it, as a crash would: what is in its folder stays. Fine when it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def pause(self) -> None:
        """It hears and says nothing more, its connections stay open."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _prepare(self, installed: Path) -> None:
        """Only the applications that it needs are in its path: Erlang looks for each of 700 modules in all of it."""
        for folder in ("home", "apps", "log"):
            (self.place / folder).mkdir(mode=0o700, exist_ok=True)
        for application in _needed(installed):
            link = self.place / "apps" / application.name
            if not link.exists():
                link.symlink_to(application)
        cookie = self.home / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(secrets.token_hex(16))
            cookie.chmod(0o400)
        (self.place / "plugins").write_text("[].\n")
        (self.place / "inetrc").write_text("{lookup, [file]}.\n")  # else processes are kept for looking names up
        files = {"advanced.config": self._config(), URL_FILE: self.url}
        if self.definitions is not None:
            files[DEFINITIONS] = json.dumps(_with_own_user(self.definitions, self.password))
        for name, text in files.items():
            (self.place / name).touch(mode=0o600)
            (self.place / name).write_text(text)

    def _config(self) -> str:
        rabbit = [
            f'{{tcp_listeners, [{{"127.0.0.1", {self.port}}}]}}',
            f"{{default_user, <<{USER!r}>>}}".replace("'", '"'),
            f'{{default_pass, <<"{self.password}">>}}',
            "{epmd_monitor_interval, 86400000}",
            "{log, [{file, [{level, warning}]}, {console, [{enabled, false}]}]}",
            *self.terms,
        ]
        if self.definitions is not None:
            rabbit.append(f'{{load_definitions, "{self.place}/{DEFINITIONS}"}}')
        return f"[{{rabbit, [{', '.join(rabbit)}]}},\n {{ra, [{{wal_max_size_bytes, 33554432}}]}}].\n"

    def _environment(self) -> dict[str, str]:
        place = str(self.place)
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "ERL_LIBS": f"{place}/apps",
            "ERL_CRASH_DUMP_SECONDS": "0",
            "ERL_FLAGS": "-start_epmd false",  # nor by what RabbitMQ itself starts
            "ERL_INETRC": f"{place}/inetrc",
            "RABBITMQ_NODENAME": "rabbit@localhost",
            "RABBITMQ_PLUGINS_DIR": f"{place}/apps",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{place}/plugins",
            "RABBITMQ_PLUGINS_EXPAND_DIR": f"{place}/expanded",
            "RABBITMQ_BASE": place,
            "RABBITMQ_MNESIA_BASE": f"{place}/data",
            "RABBITMQ_MNESIA_DIR": f"{place}/data/node",
            "RABBITMQ_LOG_BASE": f"{place}/log",
            "RABBITMQ_LOGS": f"{place}/log/rabbit.log",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{place}/schema",
            "RABBITMQ_CONFIG_FILE": f"{place}/none",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{place}/advanced.config",
            "RABBITMQ_CONF_ENV_FILE": f"{place}/none",
        }

    def _command_line(self) -> list[str]:
        """A node that has its name before RabbitMQ starts, and a port that is told, needs no epmd."""
        return [
            *("erl", "-noshell", "-boot", "start_sasl", "+W", "w"),
            *("-sname", "rabbit@localhost", "-erl_epmd_port", str(self.control_port)),
            *("-kernel", "inet_dist_use_interface", "{127,0,0,1}"),
            *("-kernel", "prevent_overlapping_partitions", "false"),
            *("-syslog", "logger", "[]", "-syslog", "syslog_error_logger", "false"),
            *("-eval", _END_WITH_OWNER, "-s", "rabbit", "boot"),
        ]

    def _last_words(self) -> str:
        said = (self.place / "output").read_text(errors="replace")
        return " ".join(said.split())[-500:] or f"see the log in {self.place}/log"


@asynccontextmanager
async def private_broker(place: Path, terms: Sequence[str] = ()) -> AsyncIterator[PrivateBroker]:
    """A fresh broker in `place`, for the length of the context; nothing of it stays. Raises Unavailable."""
    await asyncio.to_thread(_fresh, place)
    broker = PrivateBroker(place, terms)
    try:
        await broker.start()
        yield broker
    finally:
        broker.stop()
        shutil.rmtree(place, ignore_errors=True)


def _with_own_user(definitions: Mapping[str, Any], password: str) -> Mapping[str, Any]:
    """Where definitions are loaded, RabbitMQ makes no user by itself, nor the vhost."""
    own = {"name": USER, "password": password, "tags": "administrator"}
    may = {"user": USER, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
    return {
        **definitions,
        "vhosts": [{"name": "/"}],
        "users": [own, *definitions["users"]],
        "permissions": [may, *definitions["permissions"]],
    }


def _fresh(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700, parents=True)


def _installed() -> Path:
    """The applications of the newest RabbitMQ on this machine. Raises Unavailable."""
    found = sorted(Path(INSTALLED).glob("rabbitmq_server-*/plugins"))
    if not found or shutil.which("erl") is None:
        raise Unavailable(
            "there is no RabbitMQ on this machine: RUNLEVEL=1 apt-get install --no-install-recommends rabbitmq-server"
        )
    return found[-1]


def _needed(installed: Path) -> list[Path]:
    """The folders of the applications without which RabbitMQ does not start, out of all that came with it."""
    folders = {folder.name.partition("-")[0]: folder for folder in installed.iterdir() if (folder / "ebin").is_dir()}
    wanted, found = ["rabbit", "rabbitmq_prelaunch"], set[str]()
    while wanted:
        name = wanted.pop()
        if name in found or name not in folders:  # the others are Erlang's own
            continue
        found.add(name)
        stated = _NEEDED.search((folders[name] / "ebin" / f"{name}.app").read_text())
        wanted.extend(word.strip().strip("'") for word in (stated[1].split(",") if stated else ()))
    return sorted(folders[name] for name in found)


def _free_ports(count: int) -> list[int]:
    with_ports = [socket.socket() for _ in range(count)]
    try:
        for one in with_ports:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in with_ports]
    finally:
        for one in with_ports:
            one.close()
