"""A cloud spread over processes, for tests: their starts and ends. Nothing of it is left."""

import asyncio
import io
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

DEPLOY = Path(__file__).parents[2] / "deploy"
USERS = ("admin", "nova", "neutron", "glance")
APIS = ("identity", "image", "compute-api", "network")
ON_HOSTS = ("compute", "agent")
PORTS = dict(zip((*APIS, *ON_HOSTS), range(8781, 8787), strict=True))  # in the files of deploy/
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
    """`place` holds everything; `ports` are where each process is asked."""

    place: Path
    ports: dict[str, int]
    running: list[Served] = field(default_factory=list)
    _number: int = 0

    def url(self, what: str) -> str:
        return f"http://127.0.0.1:{self.ports[what]}"

    def write(self, name: str, changes: dict[str, str]) -> Path:
        """A file of deploy/, with this place and these ports in it. Every change must be one."""
        text = (DEPLOY / name).read_text()
        ports = {str(PORTS[what]): str(port) for what, port in self.ports.items() if str(PORTS[what]) in text}
        places = {"/etc/moorage": str(self.place), "10.0.0.1": "127.0.0.1"}
        for before, after in {**ports, **places, **changes}.items():
            assert before in text, f"{name} has no {before}"
            text = text.replace(before, after)
        file = self.place / name
        file.write_text(text)
        return file

    def write_password(self, name: str, password: str, *, group: int | None = None) -> None:
        file = self.place / f"{name}.password"
        file.touch(mode=0o600)
        file.write_text(f"{password}\n")
        if group is not None:
            os.chown(file, -1, group)
            file.chmod(0o640)

    async def start(self, what: str, file: Path, *, way: Sequence[str] = ()) -> Served:
        """Not waiting for anything. `way` is what it is run behind."""
        self._number += 1
        log = self.place / f"{what}-{self._number}.log"
        with log.open("ab") as words:
            process = await asyncio.create_subprocess_exec(
                *(*way, sys.executable, "-m", "moorage.cli.entry", "serve", what, "--config", str(file)),
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
    async def client(self) -> AsyncIterator[Client]:
        account = Account(f"{self.url('identity')}/identity/v3", "admin", "admin-secret", "admin")
        async with logged_in(account) as client:
            yield client

    async def image(self, admin: Client, name: str = "tiny", data: bytes = bytes(512), **more: str) -> str:
        """A public image, with data: its id."""
        body = {"name": name, "disk_format": "raw", "container_format": "bare", "visibility": "public", **more}
        image = str((await admin.call("POST", "image", "/v2/images", body))["id"])
        assert await self.upload(admin, image, data) == 204
        return image

    async def upload(self, admin: Client, image: str, data: bytes | AsyncIterator[bytes]) -> int:
        """The answer's status."""
        headers = {"X-Auth-Token": admin.token, "Content-Type": "application/octet-stream"}
        url = f"{self.url('image')}/image/v2/images/{image}/file"
        body = io.BytesIO(data) if isinstance(data, bytes) else data
        async with aiohttp.ClientSession() as session, session.put(url, data=body, headers=headers) as reply:
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
async def spread(place: Path) -> AsyncIterator[Spread]:
    """Its passwords are written, nothing of it runs yet; whatever is started is killed in the end."""
    cloud = Spread(place, dict(zip(PORTS, free_ports(len(PORTS)), strict=True)))
    for user in USERS:
        cloud.write_password(user, f"{user}-secret")
    try:
        yield cloud
    finally:
        for served in cloud.running:
            if served.process.returncode is None:
                await served.kill()
