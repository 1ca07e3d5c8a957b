"""Which cloud a command runs for itself."""

import os

import pytest

from moorage.app.config import MEMORY, RABBITMQ, DatabaseKind, HostKind
from moorage.app.start import own_cloud, start_cloud, start_cloud_on_postgresql, start_spread_cloud

NETNS, SIMULATED = HostKind.NETNS, HostKind.SIMULATED
AS_ROOT = start_spread_cloud if os.geteuid() == 0 else start_cloud_on_postgresql  # its host's holder is root's


@pytest.mark.parametrize(
    ("kind", "bus", "database", "cloud"),
    [
        (NETNS, MEMORY, DatabaseKind.SQLITE, start_cloud),
        (NETNS, RABBITMQ, DatabaseKind.SQLITE, start_cloud),
        (NETNS, MEMORY, DatabaseKind.POSTGRESQL, start_cloud_on_postgresql),
        (NETNS, RABBITMQ, DatabaseKind.POSTGRESQL, AS_ROOT),
        (SIMULATED, RABBITMQ, DatabaseKind.POSTGRESQL, start_cloud_on_postgresql),
    ],
)
def test_services_are_processes_where_both_servers_are_and_hosts_can_be(
    kind: HostKind, bus: str, database: DatabaseKind, cloud: object
) -> None:
    assert own_cloud(kind, bus, database) is cloud
