"""A host's user on a real broker: its own queues, the services, the answers it owes, and nothing else."""

import asyncio
import json
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError
from tests.rabbitmq import a_vhost, erlang, running, url

from moorage.adapters.rabbitmq import permissions, routes
from moorage.adapters.rabbitmq.broker import PrivateBroker
from moorage.adapters.rabbitmq.bus import RabbitBus
from moorage.adapters.rabbitmq.dead_letters import RabbitDeadLetters
from moorage.adapters.rabbitmq.settings import RabbitSettings
from moorage.domain.errors import Forbidden
from moorage.domain.ids import HostName
from moorage.seams.bus import Bus, Handler
from moorage.wire.messages import (
    Console,
    ConsoleWanted,
    DoJob,
    Done,
    Envelope,
    Facts,
    FactSpec,
    LookBegins,
    Message,
    encode,
)

HOSTS = (HostName("host-1"), HostName("host-2"))


@dataclass(frozen=True)
class Cloud:
    """A vhost with the users of two hosts; the password of each is its name."""

    broker: PrivateBroker
    vhost: str
    services: RabbitBus

    def of(self, host: str) -> RabbitBus:
        return RabbitBus(RabbitSettings(self.url(host)), settle=0.0)

    def url(self, host: str) -> str:
        return url(self.broker, self.vhost, user=permissions.user_of(HostName(host)), password=host)

    @asynccontextmanager
    async def channel(self, host: str) -> AsyncIterator[AbstractChannel]:
        """What somebody who has taken the host over has."""
        connection = await aio_pika.connect(self.url(host))
        try:
            yield await connection.channel(on_return_raises=True)
        finally:
            await connection.close()


@pytest.fixture
async def cloud(broker: PrivateBroker) -> AsyncIterator[Cloud]:
    vhost = a_vhost(broker)
    for host in HOSTS:
        text = json.dumps(permissions.definitions(host, vhost, password=host)).replace("\\", "\\\\").replace('"', '\\"')
        erlang(broker, f'rabbit_definitions:import_raw(<<"{text}">>)')
    services = RabbitBus(RabbitSettings(url(broker, vhost)), settle=0.0)
    async with running(services):
        yield Cloud(broker, vhost, services)


@asynccontextmanager
async def serving(*queues: tuple[Bus, str, Handler]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(bus.serve(queue, handler)) for bus, queue, handler in queues]
        try:
            await asyncio.sleep(0.3)
            yield
        finally:
            for task in tasks:
                task.cancel()


async def done(message: object) -> Message:
    return Done()


async def is_refused(cloud: Cloud, act: Callable[[AbstractChannel], Awaitable[object]], why: str = "refused") -> None:
    """What host-1's user tries on a channel of its own is refused by the broker."""
    async with cloud.channel("host-1") as channel:
        with pytest.raises(AMQPError, match=why):
            await act(channel)


def message(body: Message, *, user: str | None = "host.host-1") -> aio_pika.Message:
    return aio_pika.Message(encode(Envelope(body=body)), user_id=user, message_id="m")


async def test_a_host_does_its_work(cloud: Cloud) -> None:
    async def host_answers(message: Message) -> Message:
        return Console(output=b"hello")

    host = cloud.of("host-1")
    async with running(host), serving((cloud.services, "network", done), (host, "compute.host-1", host_answers)):
        assert await host.call("network", LookBegins(host="host-1")) == Done()
        assert await cloud.services.call("compute.host-1", ConsoleWanted(server="s")) == Console(output=b"hello")


async def test_it_cannot_read_what_is_for_others(cloud: Cloud) -> None:
    other = cloud.of("host-2")
    async with (
        running(other),
        serving(
            (cloud.services, "network", done), (cloud.services, "compute-api", done), (other, "agent.host-2", done)
        ),
    ):
        for queue in ("network", "compute-api", "agent.host-2", routes.DEAD):

            async def consume(channel: AbstractChannel, queue: str = queue) -> None:
                found = await channel.get_queue(queue, ensure=False)
                await found.consume(done)

            await is_refused(cloud, consume)


@pytest.mark.parametrize(
    ("queue", "exchange", "key"),
    [
        ("compute.host-1", routes.HOSTS, "compute.host-2"),
        ("compute.host-1", routes.HOSTS, "compute.*"),
        ("compute.host-1", routes.HOSTS, "#"),
        ("compute.host-1", routes.REPLIES, "reply.service.#"),
        ("compute.host-1", routes.REPLIES, "reply.host.host-2.*"),
        ("compute.host-1", routes.SERVICES, "network"),
    ],
)
async def test_its_queues_hear_nothing_that_is_for_others(cloud: Cloud, queue: str, exchange: str, key: str) -> None:
    async def bind(channel: AbstractChannel) -> None:
        declared = await channel.declare_queue(queue, durable=True, arguments=routes.arguments_of(queue, 10_000))
        await declared.bind(exchange, key)

    await is_refused(cloud, bind)


@pytest.mark.parametrize(
    "queue", ["compute.host-2", "compute.host-11", "xcompute.host-1", "network", "reply.host.host-2.00"]
)
async def test_it_makes_and_deletes_no_queue_but_its_own(cloud: Cloud, queue: str) -> None:
    await is_refused(cloud, lambda channel: channel.declare_queue(queue))
    await is_refused(cloud, lambda channel: channel.queue_delete(queue))


async def test_it_makes_no_exchange(cloud: Cloud) -> None:
    await is_refused(cloud, lambda channel: channel.declare_exchange("its-own"))


@pytest.mark.parametrize(
    ("exchange", "key"),
    [
        (routes.HOSTS, "compute.host-2"),
        (routes.HOSTS, "compute.host-1"),
        (routes.REPLIES, "reply.host.host-2.00"),
        ("", "compute.host-2"),
        ("", "network"),
    ],
)
async def test_it_sends_to_no_host(cloud: Cloud, exchange: str, key: str) -> None:
    async def publish(channel: AbstractChannel) -> None:
        found = channel.default_exchange if exchange == "" else await channel.get_exchange(exchange, ensure=False)
        await found.publish(message(DoJob(server="s")), key)

    await is_refused(cloud, publish)


async def test_it_cannot_send_in_anothers_name(cloud: Cloud) -> None:
    for user in ("host.host-2", "moorage"):

        async def publish(channel: AbstractChannel, user: str = user) -> None:
            services = await channel.get_exchange(routes.SERVICES, ensure=False)
            await services.publish(message(LookBegins(host="host-2"), user=user), "network")

        async with serving((cloud.services, "network", done)):
            await is_refused(cloud, publish, "user_id property set to")


async def test_what_it_says_of_another_host_or_without_its_name_is_refused_by_the_receiver(cloud: Cloud) -> None:
    heard: list[Message] = []

    async def hears(message: Message) -> Message:
        heard.append(message)
        return Done()

    host, dead = cloud.of("host-1"), RabbitDeadLetters(cloud.services.settings)
    async with running(host), serving((cloud.services, "network", hears), (cloud.services, "timeline", hears)):
        with pytest.raises(Forbidden, match="host-1 speaks for host-2"):
            await host.call("network", LookBegins(host="host-2"))
        mine, others, nobodys = (Facts(facts=(fact(of),)) for of in ("host-1", "host-2", None))
        for facts in (mine, others, nobodys):
            await host.cast("timeline", facts)
        async with cloud.channel("host-1") as channel:
            services = await channel.get_exchange(routes.SERVICES, ensure=False)
            await services.publish(message(mine, user=None), "timeline")
        async with asyncio.timeout(10):
            while len(letters := await dead.list()) < 3:
                await asyncio.sleep(0.05)
    assert heard == [mine]
    assert [letter.why for letter in letters] == [
        "refused: host host-1 speaks for host-2",
        "refused: host host-1 speaks for None",
        "refused: it does not say who sends it",
    ]


def fact(host: str | None) -> FactSpec:
    return FactSpec(what="seen", wall=datetime(2026, 1, 1, tzinfo=UTC), monotonic=0.0, who="agent", host=host)


async def test_a_dead_letter_of_a_host_is_sent_to_no_host_in_the_name_of_who_looks_at_it(cloud: Cloud) -> None:
    """Else a host could write to another by the hand of whoever sends its letters again."""
    async with cloud.channel("host-1") as channel:
        planted = message(DoJob(server="s"))
        planted.headers = {"moorage-queue": "compute.host-2", "moorage-from": "moorage"}
        exchange = await channel.get_exchange(routes.DEAD, ensure=False)
        await exchange.publish(planted, routes.DEAD)
    dead = RabbitDeadLetters(cloud.services.settings)
    [letter] = await dead.list()
    assert letter.sender == "host.host-1"  # as the broker knows it
    with pytest.raises(Forbidden, match="look at that host"):
        await dead.send_again(letter.id)
    await dead.drop(letter.id)
    assert await dead.list() == []


async def test_the_lines_for_people_say_the_same_as_the_definitions() -> None:
    lines = permissions.commands(HOSTS[0], "v")
    made = permissions.definitions(HOSTS[0], "v", "secret")
    [told] = made["permissions"]
    assert shlex.split(lines[0]) == ["rabbitmqctl", "add_user", "host.host-1"]
    expected = [
        "rabbitmqctl",
        "set_permissions",
        "-p",
        "v",
        told["user"],
        told["configure"],
        told["write"],
        told["read"],
    ]
    assert shlex.split(lines[1]) == expected
    for line, topic in zip(lines[2:], made["topic_permissions"], strict=True):
        assert shlex.split(line)[-4:] == [topic["user"], topic["exchange"], topic["write"], topic["read"]]
