"""docs/from-one-to-many.md, TLS: the APIs, the bus and the database, each by a certificate that is checked."""

import asyncio
import shutil
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import pytest
from tests.certificates import Certificates
from tests.rabbitmq import a_broker
from tests.real.hosting import command
from tests.real.serving import free_ports, spread

from moorage.adapters.database.server import PrivatePostgresql
from moorage.adapters.rabbitmq.broker import USER

pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True)
class Safe:
    """Where database and bus listen, for nobody without TLS."""

    certificates: Certificates
    database: str
    bus: str
    bus_password: str


@pytest.fixture
def place() -> Iterator[Path]:
    """For PostgreSQL's files, outside pytest's folders: its user may not enter those."""
    with TemporaryDirectory(prefix="moorage-") as name:
        yield Path(name)


@pytest.fixture
def safe(tmp_path: Path, place: Path) -> Iterator[Safe]:
    made = Certificates(tmp_path)
    made.make_authority("ca")
    made.sign("server", "ca", for_host="localhost")
    database_port, bus_port = free_ports(2)
    options = {"listen_addresses": "127.0.0.1", "port": str(database_port), "ssl": "on"}
    options |= {"ssl_cert_file": f"{place}/server.pem", "ssl_key_file": f"{place}/server-key.pem"}
    server = PrivatePostgresql(place, options)
    server.prepare()
    for name in ("server.pem", "server-key.pem"):
        shutil.copy(tmp_path / name, place / name)
        (place / name).chmod(0o600)
        shutil.chown(place / name, place.owner())
    files = {"cacertfile": "ca", "certfile": "server", "keyfile": "server-key"}
    named = ", ".join(f'{{{option}, "{made.path(name)}"}}' for option, name in files.items())
    try:
        server.start()
        with a_broker(f'{{ssl_listeners, [{{"127.0.0.1", {bus_port}}}]}}', f"{{ssl_options, [{named}]}}") as broker:
            server.make_database("moorage")
            query = f"sslmode=verify-full&sslrootcert={made.path('ca')}"
            database = f"postgresql://{USER}@localhost:{database_port}/moorage?{query}"
            yield Safe(made, database, f"amqps://{USER}@localhost:{bus_port}/%2F", broker.password)
    finally:
        server.stop()


async def test_processes_that_speak_over_tls_alone_find_each_other(tmp_path: Path, safe: Safe) -> None:
    path = safe.certificates.path
    command("db", "upgrade", "--database", safe.database)
    async with spread(tmp_path) as cloud:
        changes = {
            "postgresql://moorage@127.0.0.1/moorage": safe.database,
            "amqp://moorage@127.0.0.1/moorage": safe.bus,
            "/var/lib/moorage": str(tmp_path),
            "http://127.0.0.1": "https://localhost",
            "[users]": f'[tls]\ncert_file = "{path("server")}"\nkey_file = "{path("server-key")}"\n'
            f'ca_file = "{path("ca")}"\n\n[users]',
        }
        file = cloud.write("control-plane.toml", changes)
        cloud.write_password("bus", safe.bus_password)
        cloud.write_password("database", "not-asked-for")
        for what in ("identity", "network"):
            await cloud.start(what, file)
        trusting = ssl.create_default_context(cafile=str(path("ca")))
        async with aiohttp.ClientSession() as session:
            url = f"https://localhost:{cloud.ports['network']}/readyz"
            while (
                await _status(session, url, trusting) != 200
            ):  # it has logged in at identity, has its tables and the bus
                cloud.require_alive()
                await asyncio.sleep(0.05)
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(url, ssl=ssl.create_default_context())
            with pytest.raises(aiohttp.ClientError):
                await session.get(url.replace("https", "http"))
        assert await cloud.stop() == [0, 0]


async def _status(session: aiohttp.ClientSession, url: str, context: ssl.SSLContext) -> int | None:
    try:
        async with session.get(url, ssl=context) as reply:
            return reply.status
    except aiohttp.ClientConnectorError:
        return None  # nobody listens yet
