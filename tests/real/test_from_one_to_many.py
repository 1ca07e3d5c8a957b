"""docs/from-one-to-many.md, with the files of deploy/: the same boot over RabbitMQ and PostgreSQL, several of each API,
each process restarted under it, and nobody on the host with a privilege but the holder."""

import asyncio
import os
import re
import signal
import ssl
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aio_pika
import aiohttp
import pytest
import pytest_asyncio
from aio_pika.exceptions import AMQPError
from tests.certificates import Certificates
from tests.machine import GUESTS
from tests.rabbitmq import url as bus_url
from tests.real.guests import moorage_guest
from tests.real.hosting import a_cloud, command
from tests.real.proxying import a_proxy
from tests.real.running import Running
from tests.real.serving import APIS, ON_HOSTS, Served, free_ports

from moorage.app import processes
from moorage.app.client import Client
from moorage.app.clouds_yaml import Account
from moorage.app.http_server import server_context
from moorage.app.results import hop_times
from moorage.domain.hops import HOPS, Hop

pytestmark = [pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Running]:
    async with a_cloud() as cloud:
        served = await cloud.started()
        async with cloud.spread.client() as admin:
            image = await cloud.spread.image(admin)
            yield Running(cloud, served, admin, image, await _network(admin, "private", "10.0.0.0/24"))
        codes = await cloud.spread.stop()
        assert codes == [0] * len(codes)


async def _network(admin: Client, name: str, cidr: str) -> str:
    made = (await admin.call("POST", "network", "/v2.0/networks", {"network": {"name": name}}))["network"]
    subnet = {"network_id": made["id"], "ip_version": 4, "cidr": cidr}
    await admin.call("POST", "network", "/v2.0/subnets", {"subnet": subnet})
    return str(made["id"])


async def test_the_files_are_fine_and_what_they_say_is_shown_without_secrets(running: Running) -> None:
    for file, services in ((running.cloud.apis_file, APIS), (running.cloud.host_file, ON_HOSTS)):
        assert f"is fine for {', '.join(services)}" in command("config", "check", str(file))
        shown = command("config", "show", str(file))
        assert "(hidden)" in shown
        assert not [secret for secret in ("nova-secret", "admin-secret", "not-asked-for") if secret in shown]


async def test_the_hosts_user_on_the_bus_reads_what_is_its_own_alone(running: Running) -> None:
    """By the rabbitmqctl lines of the page: the cloud is on a broker that knows nobody but by them."""
    cloud = running.cloud
    password = (cloud.host_file.parent / "bus.password").read_text().strip()
    connection = await aio_pika.connect(bus_url(cloud.broker, "moorage", user="host.host-1", password=password))
    async with connection:
        for queue in ("compute.host-1", "agent.host-1"):
            own = await (await connection.channel()).get_queue(queue, ensure=False)
            await own.get(no_ack=False, fail=False)
        for queue in ("network", "compute-api", "timeline"):
            others = await (await connection.channel()).get_queue(queue, ensure=False)
            with pytest.raises(AMQPError, match="refused"):
                await others.get(fail=False)


async def test_nobody_on_the_host_has_a_privilege_but_the_holder(running: Running) -> None:
    for what in ON_HOSTS:
        status = Path(f"/proc/{running.served[what].process.pid}/status").read_text()
        assert "CapEff:\t0000000000000000" in status
        assert "CapBnd:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        assert "Uid:\t0" not in status


async def test_a_boot_crosses_processes_hop_by_hop(running: Running) -> None:
    server = await running.boot("web")
    body = await running.ended(server)
    assert body["status"] == "ACTIVE", body.get("fault")
    address = body["addresses"]["private"][0]["addr"]

    async def has_address() -> bool:
        return f"address {address}" in running.console(server)

    await running.until(has_address)

    async def all_hops() -> bool:
        return [time.hop for time in hop_times(await running.admin.facts(server)) if time.at] == list(HOPS)

    await running.until(all_hops)
    await running.delete(server)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_a_boot_that_waits_is_taken_over_by_the_next_compute_and_loses_no_time(
    running: Running, how: signal.Signals
) -> None:
    await running.until(lambda: _agent_is_fresh(running))
    os.kill(running.served["agent"].process.pid, signal.SIGSTOP)
    try:
        server = await running.boot("waiting")
        before = await running.has_come_to(server, Hop.PLUGGED)
        deadline = _deadline(running, server)
        await running.restart("compute", how=how)
        await running.until(lambda: _waits(running))
        assert _deadline(running, server) == deadline
    finally:
        os.kill(running.served["agent"].process.pid, signal.SIGCONT)
    assert (await running.ended(server))["status"] == "ACTIVE"
    after = await running.has_come_to(server, Hop.RUNNING)
    generations = {fact.generation for fact in after if fact.what in (Hop.PLUGGED, Hop.WIRED, Hop.RUNNING)}
    assert generations == {fact.generation for fact in before if fact.what is Hop.PLUGGED}
    assert {fact.attempt for fact in after if fact.attempt} == {1}
    await running.delete(server)


async def _agent_is_fresh(running: Running) -> bool:
    """Whether it has been heard a moment ago: ports are bound to its host for 10 s from then on."""
    [agent] = (await running.admin.call("GET", "network", "/v2.0/agents?agent_type=Open%20vSwitch%20agent"))["agents"]
    heard = datetime.fromisoformat(agent["heartbeat_timestamp"]).replace(tzinfo=UTC)
    return datetime.now(UTC) - heard < timedelta(seconds=2)


async def _waits(running: Running) -> bool:
    """Whether compute waits for a port."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{running.cloud.spread.url('compute')}/metrics") as said,
    ):
        return "moorage_waits_open 1.0" in await said.text()


def _deadline(running: Running, server: str) -> str:
    """When the boot's ports must be ready, as compute API has stored it."""
    said = "convert_from(document, 'UTF8')::json->>'plug_deadline'"
    found = running.cloud.database.ask("moorage", f"SELECT {said} FROM compute.servers WHERE id = '{server}'")
    assert found, "no deadline is stored"
    return found


async def test_each_process_may_be_restarted_while_servers_are_asked_for(running: Running) -> None:
    servers = []
    for whats in (("identity", "image"), ("compute-api",), ("network",), ("agent",)):
        await running.until(lambda: _agent_is_fresh(running))  # else no port is bound to its host
        servers += [await running.boot(f"before-{what}") for what in whats]
        await asyncio.gather(*(running.restart(what) for what in whats))
    await running.until(lambda: _agent_is_fresh(running))
    servers.append(await running.boot("after"))
    for server in servers:
        body = await running.ended(server)
        assert body["status"] == "ACTIVE", body.get("fault")
    await asyncio.gather(*map(running.delete, servers))


async def test_two_of_each_api_share_a_port_and_one_of_them_may_die(running: Running) -> None:
    spread = running.cloud.spread
    seconds = [await running.cloud.start(what) for what in APIS]
    await running.until(lambda: _all_serve(seconds))
    servers = [await running.boot(f"shared-{number}") for number in range(4)]
    codes = await spread.stop(seconds[:2]) + await spread.stop(seconds[2:], how=signal.SIGKILL)
    assert codes == [0, 0, -signal.SIGKILL, -signal.SIGKILL]
    for server in servers:
        body = await running.ended(server)
        assert body["status"] == "ACTIVE", body.get("fault")
    await asyncio.gather(*map(running.delete, servers))


async def _all_serve(served: Sequence[Served]) -> bool:
    return all('"serving"' in one.log.read_text() for one in served)


async def test_a_proxy_before_processes_on_ports_of_their_own_is_where_the_cloud_is(
    running: Running, tmp_path: Path
) -> None:
    cloud, made = running.cloud, Certificates(tmp_path)
    made.make_authority("ca")
    made.sign("proxy", "ca", for_host="localhost")
    port, *ports = free_ports(3)
    async with a_proxy(port, server_context(made.path("proxy"), made.path("proxy-key"))) as proxy:
        places = {
            what: f"http://127.0.0.1:{port}" for what, port in zip(("identity", "compute-api"), ports, strict=True)
        }
        file = cloud.also_at(places, public=proxy.url)
        seconds = [await cloud.spread.start(what, file) for what in places]
        await running.until(lambda: _all_serve(seconds))
        proxy.stand_before(
            {
                "identity": [places["identity"]],  # the other tells of no proxy
                "image": [cloud.spread.url("image")],
                "compute": [cloud.spread.url("compute-api"), places["compute-api"]],
                "network": [cloud.spread.url("network")],
            }
        )
        trusting = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(made.path("ca"))))
        async with aiohttp.ClientSession(connector=trusting) as session:
            admin = Client(session, Account(f"{proxy.url}/identity/v3", "admin", "admin-secret", "admin"))
            told = await admin.call("GET", "identity", "/v3/auth/catalog")
            urls = [endpoint["url"] for service in told["catalog"] for endpoint in service["endpoints"]]
            for service in proxy.turns:
                assert any(url.startswith(f"{proxy.url}/{service}") for url in urls)
                urls += await _links(session, f"{proxy.url}/{service}/")
            for _ in range(2):  # by either process
                page = await admin.call("GET", "compute", "/flavors?limit=1")
                [next_page] = page["flavors_links"]
                urls.append(page["flavors"][0]["links"][0]["href"])
                assert next_page["href"].startswith(f"{proxy.url}/compute/")
                async with session.get(next_page["href"], headers={"X-Auth-Token": admin.token}) as reply:
                    assert (await reply.json())["flavors"][0]["id"] != page["flavors"][0]["id"]
        assert [url for url in urls if not url.startswith(f"{proxy.url}/")] == []
        assert all(proxy.asked[place] for place in (cloud.spread.url("compute-api"), places["compute-api"]))
        assert await cloud.spread.stop(seconds) == [0, 0]


async def _links(session: aiohttp.ClientSession, url: str) -> Sequence[str]:
    """What the versions there refer to."""
    async with session.get(url) as reply:
        found = re.findall(r'"href":"([^"]+)"', await reply.text())
    assert found
    return found


async def test_a_guest_of_the_production_host_runs_as_a_user_of_its_own(running: Running) -> None:
    """host.toml as it stands: QEMU, and the holder's two accounts. The host begins anew by it, so this is the last."""
    cloud, guest = running.cloud, await moorage_guest()
    await cloud.spread.stop([running.served[what] for what in ON_HOSTS])
    await cloud.become_production()
    running.served |= {what: await cloud.start(what) for what in ON_HOSTS}
    await cloud.spread.ready(*ON_HOSTS)
    assert guest.kernel is not None
    assert guest.ramdisk is not None
    parts = {
        "kernel_id": await cloud.spread.image(running.admin, "kernel", guest.kernel.read_bytes()),
        "ramdisk_id": await cloud.spread.image(running.admin, "ramdisk", guest.ramdisk.read_bytes()),
    }
    running.image = await cloud.spread.image(running.admin, "guest", b"", os_command_line=guest.command_line, **parts)
    running.network = await _network(running.admin, "anew", "10.0.1.0/24")  # others' DHCP: docs/status.md, known gaps
    await running.until(lambda: _agent_is_fresh(running))
    server = await running.boot("production")
    body = await running.ended(server)
    assert body["status"] == "ACTIVE", body.get("fault")
    found = processes.mentioning(cloud.machine.place / "r")
    [pid] = [pid for pid in found if "qemu" in os.readlink(f"/proc/{pid}/exe")]
    status = Path(f"/proc/{pid}/status").read_text()
    assert f"Uid:\t{GUESTS}\t{GUESTS}\t{GUESTS}\t{GUESTS}" in status
    assert f"Groups:\t{GUESTS}" in status  # compute's passwords are of others
    assert "CapEff:\t0000000000000000" in status
    address = body["addresses"]["anew"][0]["addr"]

    async def has_address() -> bool:
        return f"address {address}" in running.console(server)

    await running.until(has_address)
    await running.delete(server)
