"""One cloud for all compatibility tests, on simulated hosts, and the clients that talk to it."""

from collections.abc import Iterator

import pytest
from tests.compat.clients import COMPAT, Http, Place, Session, session
from tests.compat.clouds import running_cloud


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A running cloud, and the home of those who talk to it."""
    assert (COMPAT / "openstack").exists(), "the openstack client is missing: script/setup --compat"
    with running_cloud(tmp_path_factory.mktemp("compat")) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def client(place: Place) -> Iterator[Session]:
    with session(place) as commands:
        yield commands


@pytest.fixture(scope="session")
def http(place: Place, client: Session) -> Http:
    """As the user demo."""
    return Http(place.url, client.json("token", "issue")["id"])


@pytest.fixture(scope="session")
def admin_http(place: Place, client: Session) -> Http:
    return Http(place.url, client.admin("token", "issue")["id"])
