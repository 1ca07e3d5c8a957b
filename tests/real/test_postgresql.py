"""A whole cloud on a PostgreSQL: the flows of a server's life, and a database that crashes under a boot."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.postgresql import Server, postgresql
from tests.shell import Shell, a_shell

from moorage.app.client import Client, logged_in
from moorage.app.clouds_yaml import ADMIN, MEMBER, account_in
from moorage.domain.hops import HOPS, boot_of

pytestmark = pytest.mark.timeout(120)
LIMIT = 40.0  # seconds


@pytest.fixture
def server() -> Iterator[Server]:
    with postgresql() as server:
        yield server


@pytest.fixture
def shell(tmp_path: Path, server: Server) -> Iterator[Shell]:
    with a_shell(tmp_path, patience=60) as shell:
        shell.environ["MOORAGE_DATABASE"] = server.make_database("cloud")
        try:
            yield shell
        finally:
            shell.moorage("down", "--purge")


def up(shell: Shell) -> None:
    started = shell.moorage("up", "--host-kind", "simulated", "--hosts", "2", "--detach", "--listen", "127.0.0.1:0")
    assert started.returncode == 0, started.stderr


@asynccontextmanager
async def speaking(shell: Shell, name: str = MEMBER) -> AsyncIterator[Client]:
    async with logged_in(account_in(shell.home / "state" / "moorage" / "clouds.yaml", name)) as client:
        yield client


async def boot(client: Client, name: str) -> str:
    return await client.create_server(name, image="moorage-guest", flavor="m1.tiny", network="private")


async def becomes(client: Client, server: str, status: str | None) -> None:
    async with asyncio.timeout(LIMIT):
        while True:
            shown = await client.server(server)
            if (shown and shown["status"]) == status:
                return
            await asyncio.sleep(0.05)


async def live(shell: Shell) -> list[str]:
    """Five servers, one of which was stopped and started."""
    async with speaking(shell) as client:
        servers = list(await asyncio.gather(*(boot(client, f"vm{number}") for number in range(5))))
        await asyncio.gather(*(becomes(client, server, "ACTIVE") for server in servers))
        for action, status in (("os-stop", "SHUTOFF"), ("os-start", "ACTIVE")):
            await client.call("POST", "compute", f"/servers/{servers[0]}/action", {action: None})
            await becomes(client, servers[0], status)
        hops = boot_of(await client.facts(servers[1]))
        assert [hop for hop in HOPS if hops[hop] is None] == []
        return servers


async def boot_while_it_crashes(shell: Shell, server: Server) -> str:
    async with speaking(shell) as client:
        booting = await boot(client, "unlucky")
        server.kill()
        await asyncio.sleep(1)  # long enough for every call of the boot to fail
        server.start()
        await becomes(client, booting, "ACTIVE")
        return booting


async def end(shell: Shell, servers: list[str]) -> None:
    async with speaking(shell) as client, speaking(shell, ADMIN) as admin:
        assert {one["id"] for one in await client.servers()} == set(servers)
        for server in servers:
            await client.delete_server(server)
        await asyncio.gather(*(becomes(client, server, None) for server in servers))
        ports = (await admin.call("GET", "network", "/v2.0/ports"))["ports"]
        assert [port for port in ports if port["device_owner"].startswith("compute:")] == []


def test_a_cloud_lives_on_postgresql_through_a_crash_of_it_and_a_restart(shell: Shell, server: Server) -> None:
    made = shell.moorage("db", "upgrade")
    assert (made.returncode, made.stdout.count(": made 0")) == (0, 5), made.stderr
    up(shell)
    second = shell.moorage(
        "up", "--host-kind", "simulated", "--listen", "127.0.0.1:0", "--state-dir", str(shell.temporary)
    )
    assert second.returncode == 1
    assert "another cloud runs on postgresql:///cloud" in second.stderr
    servers = asyncio.run(live(shell))
    servers.append(asyncio.run(boot_while_it_crashes(shell, server)))
    assert shell.moorage("down").returncode == 0
    again = shell.moorage("db", "upgrade")
    assert (again.returncode, again.stdout.count(": up to date")) == (0, 5), again.stderr
    up(shell)
    asyncio.run(end(shell, servers))
