"""A cloud spread over processes, for tests: their settings, their starts and ends. Nothing of it is left."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from moorage.app.client import Client, logged_in
from moorage.app.clouds_yaml import Account

USERS = ("admin", "demo", "nova", "neutron", "glance")
APIS = ("identity", "image", "compute-api", "network")
ON_HOSTS = ("compute", "agent")
READY_WITHIN = 150.0  # seconds; it takes three on a quiet machine
ENDED_WITHIN = 60.0


def free_ports(count: int) -> list[int]:
    """Nobody listens on them now."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [listener.getsockname()[1] for listener in taken]
    for listener in taken:
        listener.close()
    return found


@dataclass
class Served:
    """One `moorage serve`."""

    what: str
    process: asyncio.subprocess.Process
    log: Path

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code, once it has ended in order."""
        self.process.send_signal(how)
        async with asyncio.timeout(ENDED_WITHIN):
            return await self.process.wait()

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


@dataclass
class Spread:
    """`place` holds everything; `ports` are where each process is asked. `@compute@` in a table is that port."""

    place: Path
    ports: dict[str, int]
    tables: list[str] = field(default_factory=list)  # of the settings file, beside the APIs'
    running: list[Served] = field(default_factory=list)
    _number: int = 0

    def url(self, what: str) -> str:
        return f"http://127.0.0.1:{self.ports[what]}"

    @property
    def file(self) -> Path:
        return self.place / "moorage.toml"

    def write(self) -> None:
        """The settings file and its passwords."""
        for user in USERS:
            password = self.place / f"{user}.password"
            password.touch(mode=0o600)
            password.write_text(f"{user}-secret\n")
        users = [f'{user} = {{ password_file = "{self.place}/{user}.password" }}' for user in USERS]
        also = {"identity": f'token_key_file = "{self.place}/token.key"', "image": f'directory = "{self.place}/images"'}
        tables = [
            "[endpoints]",
            *(f'{name.partition("-")[0]} = "{self.url(name)}"' for name in APIS),
            "[users]",
            *users,
        ]
        for name in APIS:
            tables += [f"[{name}]", f'listen = "127.0.0.1:{self.ports[name]}"', also.get(name, "")]
        text = "\n".join([*tables, *self.tables]) + "\n"
        for what in ON_HOSTS:
            text = text.replace(f"@{what}@", str(self.ports[what]))
        self.file.write_text(text)

    async def start(self, what: str, *, way: Sequence[str] = (), file: Path | None = None) -> Served:
        """Not waiting for anything. `way` is what it is run behind."""
        self._number += 1
        log = self.place / f"{what}-{self._number}.log"
        with log.open("ab") as words:
            process = await asyncio.create_subprocess_exec(
                *(*way, sys.executable, "-m", "moorage.cli.entry", "serve", what, "--config", str(file or self.file)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                env={**os.environ, "PYTHONWARNINGS": "default"},
            )
        served = Served(what, process, log)
        self.running.append(served)
        return served

    async def ready(self, *whats: str) -> None:
        try:
            async with asyncio.timeout(READY_WITHIN), aiohttp.ClientSession() as session:
                for what in whats:
                    while not await _is_ready(session, self.url(what)):
                        self.require_alive()
                        await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"not ready: {self.last_words()}") from None

    def require_alive(self) -> None:
        for served in self.running:
            assert served.process.returncode is None, f"{served.what} ended:\n{served.log.read_text()[-2000:]}"

    def last_words(self) -> str:
        return "\n".join(f"{served.what}: {served.log.read_text()[-1500:]}" for served in self.running)

    @asynccontextmanager
    async def client(self, user: str = "admin") -> AsyncIterator[Client]:
        account = Account(f"{self.url('identity')}/identity/v3", user, f"{user}-secret", user)
        async with logged_in(account) as client:
            yield client

    async def image(self, admin: Client, name: str = "tiny") -> str:
        """A public image, with data: its id."""
        body = {"name": name, "disk_format": "raw", "container_format": "bare", "visibility": "public"}
        image = str((await admin.call("POST", "image", "/v2/images", body))["id"])
        assert await self.upload(admin, image, bytes(512)) == 204
        return image

    async def upload(self, admin: Client, image: str, data: bytes | AsyncIterator[bytes]) -> int:
        """The answer's status."""
        headers = {"X-Auth-Token": admin.token, "Content-Type": "application/octet-stream"}
        url = f"{self.url('image')}/image/v2/images/{image}/file"
        async with aiohttp.ClientSession() as session, session.put(url, data=data, headers=headers) as reply:
            return reply.status

    async def stop(self, served: Sequence[Served] | None = None, *, how: signal.Signals = signal.SIGTERM) -> list[int]:
        """The exit codes."""
        ending = list(self.running if served is None else served)
        self.running = [one for one in self.running if one not in ending]
        try:
            return list(await asyncio.gather(*(one.stop(how) for one in ending)))
        except TimeoutError:
            self.running += ending
            raise AssertionError(f"they do not end: {self.last_words()}") from None


async def _is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/readyz") as reply:
            return reply.status == 200
    except (aiohttp.ClientError, OSError):
        return False


@asynccontextmanager
async def spread(place: Path, *tables: str) -> AsyncIterator[Spread]:
    """Nothing of it runs yet; whatever is started is killed in the end."""
    whats = (*APIS, *ON_HOSTS)
    cloud = Spread(place, dict(zip(whats, free_ports(len(whats)), strict=True)), list(tables))
    cloud.write()
    try:
        yield cloud
    finally:
        for served in cloud.running:
            if served.process.returncode is None:
                await served.kill()


def without_hosts(place: Path, bus: str) -> str:
    """The tables [database] and [bus] of a cloud on SQLite."""
    return f'[database]\nurl = "sqlite:{place}/database"\n[bus]\nurl = "{bus}"'
