"""The bus over TLS: the broker's certificate and ours are checked, both ways."""

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.certificates import Certificates
from tests.rabbitmq import a_broker, running

from moorage.adapters.rabbitmq.broker import USER, PrivateBroker
from moorage.adapters.rabbitmq.bus import RabbitBus
from moorage.adapters.rabbitmq.settings import settings_of
from moorage.domain.errors import Invalid, Unavailable
from moorage.wire.messages import LookBegins


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    for authority in ("ca", "stranger"):
        made.make_authority(authority)
    made.sign("broker", "ca", for_host="localhost")
    made.sign("services", "ca", for_host="services")
    made.sign("intruder", "stranger", for_host="services")
    return made


@dataclass(frozen=True)
class Listening:
    broker: PrivateBroker
    port: int

    def url(self, files: dict[str, Path], host: str = "localhost") -> str:
        query = "&".join(f"{name}={path}" for name, path in files.items())
        return f"amqps://{USER}:{self.broker.password}@{host}:{self.port}/%2F?{query}"


@pytest.fixture(scope="module")
def tls(certificates: Certificates) -> Iterator[Listening]:
    """A broker that wants to see a certificate of its clients."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    files = {"cacertfile": "ca", "certfile": "broker", "keyfile": "broker-key"}
    named = ", ".join(f'{{{option}, "{certificates.path(name)}"}}' for option, name in files.items())
    options = f"{{ssl_options, [{named}, {{verify, verify_peer}}, {{fail_if_no_peer_cert, true}}]}}"
    with a_broker(f'{{ssl_listeners, [{{"127.0.0.1", {port}}}]}}', options) as broker:
        yield Listening(broker, port)


async def test_who_is_known_to_the_broker_and_knows_it_is_connected(tls: Listening, certificates: Certificates) -> None:
    bus = RabbitBus(settings_of(tls.url(certificates.shown_by("services", "ca"))))
    async with running(bus):
        with pytest.raises(Unavailable, match="nobody has served"):
            await bus.call("network", LookBegins(host="h"))
    assert tls.broker.password not in f"{bus} {bus.settings} {bus.settings!r}"


@pytest.mark.parametrize(
    ("host", "ca", "own"),
    [
        ("localhost", "stranger", "services"),  # we do not know who signed the broker's
        ("127.0.0.1", "ca", "services"),  # the broker's is for another name
        ("localhost", "ca", "intruder"),  # the broker does not know who signed ours
        ("localhost", "ca", None),  # we show none
    ],
)
async def test_anybody_else_is_not(
    tls: Listening, certificates: Certificates, host: str, ca: str, own: str | None
) -> None:
    bus = RabbitBus(settings_of(tls.url(certificates.shown_by(own, ca), host)))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(bus.run())
        await asyncio.sleep(1.0)
        assert not bus.is_connected
        assert not task.done()
        task.cancel()


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    settings = settings_of(f"amqps://u@h/v?ca_file={tmp_path}/none.pem")
    with pytest.raises(Invalid, match=r"none\.pem"):
        settings.ssl_context()


@pytest.mark.parametrize("url", ["http://h", "amqp:///v", "amqp://h/v?ca=x", "amqp://[::1/v"])
def test_what_is_no_bus_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match=r"amqp://|no URL"):
        settings_of(url)
