"""A whole cloud over a RabbitMQ of its own: the demo, a broker that dies under boots, letters that people look at."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import pytest
from tests.rabbitmq import a_vhost, url
from tests.real.ordinary_user import an_ordinary_users_shell
from tests.shell import Shell, a_shell, steps

from moorage.adapters.rabbitmq.broker import PrivateBroker
from moorage.app.buses import url_of_own_broker
from moorage.app.client import logged_in
from moorage.app.clouds_yaml import MEMBER, account_in
from moorage.app.processes import mentioning
from moorage.app.state import StateDir
from moorage.wire.messages import DoJob, Envelope, Facts, encode

pytestmark = pytest.mark.timeout(120)
LIMIT = 60.0  # seconds
HOSTS_QUEUE = {"exchange": "moorage.hosts", "routing_key": "compute.host-1", "queue": "compute.host-1"}
NETWORKS_QUEUE = {"exchange": "moorage.services", "routing_key": "network", "queue": "network"}


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with a_shell(tmp_path, patience=60) as shell:
        yield shell


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """The shell of one whose cloud runs."""
    with a_shell(tmp_path_factory.mktemp("up"), patience=60) as shell:
        started = shell.moorage(
            *("up", "--host-kind", "simulated", "--bus", "rabbitmq", "--detach", "--listen", "127.0.0.1:0")
        )
        assert started.returncode == 0, started.stderr
        try:
            yield shell
        finally:
            shell.moorage("down", "--purge")


def state_of(shell: Shell) -> StateDir:
    return StateDir(shell.home / "state" / "moorage")


def test_the_demo_tells_how_each_hop_crossed_the_bus_and_leaves_no_broker(shell: Shell) -> None:
    result = shell.json("demo", "--host-kind", "simulated", "--bus", "rabbitmq")
    assert {hop["hop"]: hop["bus"] for hop in result["hops"] if "bus" in hop} == {
        "bound": HOSTS_QUEUE,  # the job
        "seen": NETWORKS_QUEUE,  # the question for details
        "ready": NETWORKS_QUEUE,  # the report
        "heard": HOSTS_QUEUE,  # the event, taken by the bus
        "woken": HOSTS_QUEUE,  # … and come to the host
    }
    assert [hop["ms"] for hop in result["hops"]] == sorted(hop["ms"] for hop in result["hops"])
    assert steps(result)["nothing left behind"] is True
    assert shell.left() == []
    assert [pid for pid in mentioning(shell.temporary) if pid != os.getpid()] == []


def test_an_ordinary_user_has_a_broker_too() -> None:
    with an_ordinary_users_shell(54322) as shell:
        result = shell.json("demo", "--host-kind", "simulated", "--bus", "rabbitmq")
        assert result["server_status"] == "ACTIVE"
        assert [hop["hop"] for hop in result["hops"] if "bus" in hop] == ["bound", "seen", "ready", "heard", "woken"]
        assert shell.left() == []


async def test_a_cloud_on_a_rabbitmq_that_is_there(shell: Shell, broker: PrivateBroker) -> None:
    """Its demo never: that would serve the queues of whatever cloud is on it."""
    shell.environ["MOORAGE_BUS"] = url(broker, a_vhost(broker))
    started = shell.moorage("up", "--host-kind", "simulated", "--detach", "--listen", "127.0.0.1:0")
    assert started.returncode == 0, started.stderr
    try:
        async with logged_in(account_in(state_of(shell).clouds_yaml, MEMBER)) as client:
            server = await client.create_server("s", image="moorage-guest", flavor="m1.tiny", network="private")
            until = time.monotonic() + LIMIT
            while (body := await client.server(server)) is None or body["status"] != "ACTIVE":
                assert time.monotonic() < until
        assert shell.json("bus", "dead") == {"dead_letters": []}
        shown = shell.json("timeline", server, "--os-cloud", "moorage-admin")
        assert [hop["hop"] for hop in shown["hops"] if "bus" in hop] == ["bound", "seen", "ready", "heard", "woken"]
        shown = shell.json("timeline", "s")
        assert [hop["hop"] for hop in shown["hops"] if "bus" in hop] == []  # queues bear hosts' names
        assert "bus" not in shell.json("demo", "--host-kind", "simulated")["hops"][1]
    finally:
        shell.moorage("down", "--purge")


def test_without_a_rabbitmq_one_line_says_what_to_do(shell: Shell) -> None:
    ended = shell.moorage("bus", "dead")
    assert ended.returncode == 1
    assert ended.stderr.strip().endswith("name one by --bus amqp://USER:PASSWORD@HOST/VHOST, or MOORAGE_BUS")
    nobody = shell.moorage("up", "--host-kind", "simulated", "--bus", "amqp://u@127.0.0.1:1/v")
    assert nobody.returncode == 1
    assert "connecting to the bus at 127.0.0.1:1" in nobody.stderr
    wrong = shell.moorage("up", "--bus", "http://x")
    assert wrong.returncode == 2
    assert "amqp://USER@HOST/VHOST" in wrong.stderr


async def test_dead_letters_are_listed_requeued_and_dropped(up: Shell) -> None:
    assert up.moorage("bus", "dead").stdout == "no dead letters\n"
    own = url_of_own_broker(state_of(up).cloud / "rabbitmq")
    connection = await aio_pika.connect(own)
    channel = await connection.channel()
    services = await channel.get_exchange("moorage.services")
    for body in (b"no \x1b[31mJSON", encode(Envelope(body=Facts(facts=())))):
        await services.publish(aio_pika.Message(body, type="Facts", user_id="moorage"), "timeline")
    hosts = await channel.get_exchange("moorage.hosts")
    await hosts.publish(aio_pika.Message(encode(Envelope(body=DoJob(server="s"))), user_id=None), "compute.host-1")
    await connection.close()

    until = time.monotonic() + LIMIT
    while len(letters := up.json("bus", "dead")["dead_letters"]) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    assert {(one["queue"], one["message"], one["why"].split(":")[0], one["body"]) for one in letters} == {
        ("timeline", "Facts", "refused", "no \x1b[31mJSON"),
        ("compute.host-1", "", "refused", encode(Envelope(body=DoJob(server="s"))).decode()),
    }
    told = up.moorage("bus", "dead").stdout
    assert "no ?[31mJSON" in told  # nothing that a terminal obeys
    assert "it does not say who sends it" in told
    [unread] = [one["id"] for one in letters if one["queue"] == "timeline"]
    requeued = up.moorage("bus", "requeue", unread)
    assert (requeued.returncode, requeued.stdout) == (0, f"✓ {unread}\n")
    while unread in (ids := {one["id"] for one in up.json("bus", "dead")["dead_letters"]}) or len(ids) < 2:
        assert time.monotonic() < until  # it is refused once more, and is another letter then
    assert up.moorage("bus", "drop", "all").returncode == 0
    assert up.json("bus", "dead")["dead_letters"] == []
    gone = up.moorage("bus", "drop", unread)
    assert gone.returncode == 1
    assert "there is no dead letter" in gone.stdout


async def test_a_broker_that_is_killed_under_boots_costs_no_boot(up: Shell) -> None:
    """And a cloud that is killed takes its broker along."""
    state = state_of(up)
    broker = state.cloud / "rabbitmq"
    async with logged_in(account_in(state.clouds_yaml, MEMBER)) as client:
        servers = [
            await client.create_server(f"s{number}", image="moorage-guest", flavor="m1.tiny", network="private")
            for number in range(5)
        ]
        for pid in mentioning(broker):
            os.kill(pid, signal.SIGKILL)
        servers.append(await client.create_server("late", image="moorage-guest", flavor="m1.tiny", network="private"))
        until = time.monotonic() + LIMIT
        waiting = set(servers)
        while waiting and time.monotonic() < until:
            bodies = [await client.server(server) for server in sorted(waiting)]
            assert "ERROR" not in [body and body["status"] for body in bodies]
            waiting -= {body["id"] for body in bodies if body is not None and body["status"] == "ACTIVE"}
        assert waiting == set()
    running = state.running()
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    while mentioning(broker) and time.monotonic() < until:
        time.sleep(0.02)
    assert mentioning(broker) == []


def test_the_demo_on_servers_of_its_own_leaves_neither(shell: Shell) -> None:
    result = shell.json("demo", "--host-kind", "simulated", "--bus", "rabbitmq", "--database", "postgresql")
    assert result["server_status"] == "ACTIVE"
    assert {hop["hop"] for hop in result["hops"] if "bus" in hop} == {"bound", "seen", "ready", "heard", "woken"}
    assert not shell.left()
