"""What is PostgreSQL's own: several notifiers on one outbox, and a server that goes away and comes back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session
from structlog.testing import capture_logs
from tests.contract.clocks import Still
from tests.contract.conftest import Opened, in_postgresql
from tests.contract.test_network_store import P1, P2, drain, network, numbered, subnet
from tests.postgresql import Server
from tests.unit.ports import HOST, NOW, bind, report

from moorage.adapters.database import network_outbox as outbox_work
from moorage.adapters.database import network_subnets as subnet_work
from moorage.adapters.database.compute_tables import COMPUTE
from moorage.adapters.database.engine import Database
from moorage.adapters.database.network import SqlNetworkStore
from moorage.adapters.database.network_tables import NETWORK
from moorage.adapters.database.postgresql import (
    CONNECTIONS,
    PostgresDatabase,
    alone,
    connect,
    open_postgresql,
    upgrade_postgresql,
)
from moorage.adapters.database.postgresql_bell import PostgresBell
from moorage.adapters.database.schemas import SCHEMAS
from moorage.domain.errors import Conflict, Invalid, MoorageError, Unavailable
from moorage.domain.events import EventName, OutboxItem, judge
from moorage.domain.port import reported_down, reported_up

pytestmark = pytest.mark.timeout(60)  # as conftest.POSTGRESQL
GONE = "(No such file or directory|Connection refused)"  # its socket
WHO_HOLDS_42 = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND granted"
AT_ONCE = 5.0  # seconds: far more than it takes, far less than it would without being called


@pytest.fixture
def shared(url: str) -> Opened:
    return in_postgresql(url)


@asynccontextmanager
async def notifiers(shared: Opened, count: int, ports: int) -> AsyncIterator[list[SqlNetworkStore]]:
    """Stores of as many processes, over ports p1, p2, … that are bound; their outbox is empty."""
    async with AsyncExitStack() as stack:
        stores = [SqlNetworkStore(await stack.enter_async_context(shared(NETWORK)), Still(NOW)) for _ in range(count)]
        await stores[0].create_networks([network()])
        await stores[0].create_subnets([subnet(cidr="10.0.0.0/24")])
        made = [replace(numbered(number), addresses=(), then=bind) for number in range(1, ports + 1)]
        await stores[0].create_ports(made)
        await drain(stores[0])
        yield stores


async def tell(store: SqlNetworkStore, sequence: int = 1) -> None:
    """News of every port."""
    change = reported_up if sequence % 2 else reported_down
    rule = partial(change, report=report(sequence))
    await store.update_each(dict.fromkeys(await store.bound_to(HOST), rule))


async def test_notifiers_share_the_outbox_and_each_item_is_taken_once(shared: Opened) -> None:
    async with notifiers(shared, count=3, ports=30) as stores:
        await tell(stores[0])
        taken = await asyncio.gather(*(store.take(NOW, 4) for store in stores * 3))
        ids = [item.id for items in taken for item in items]
        assert len(ids) == len(set(ids)) > 0
        rest = await stores[0].take(NOW, 100)
        assert sorted([*ids, *(item.id for item in rest)]) == list(range(min(ids), min(ids) + 30))


async def test_taking_waits_for_no_disk_and_nothing_else_does_so(shared: Opened) -> None:
    def promise_after(work: Callable[[Session], object]) -> Callable[[Session], str | None]:
        def then(session: Session) -> str | None:
            work(session)
            said: str | None = session.scalar(text("SHOW synchronous_commit"))
            return said

        return then

    async with notifiers(shared, count=1, ports=1) as [store], shared(NETWORK) as database:
        await tell(store)
        taking = partial(outbox_work.take, now=NOW, limit=1, me=1)
        assert await database.run("taking", promise_after(taking)) == "off"
        assert await database.run("anything else", promise_after(lambda _: None)) == "on"


async def test_what_one_has_taken_of_a_port_holds_up_that_port_for_all(shared: Opened) -> None:
    async with notifiers(shared, count=2, ports=2) as (first, second):
        await tell(first)
        flying = await first.take(NOW, 1)
        await tell(second, sequence=2)
        assert [item.event.tag for item in await second.take(NOW, 100)] == [P2]
        await first.settle([judge(item, 200, NOW) for item in flying], NOW)
        [last] = await second.take(NOW, 100)
        assert (last.event.tag, last.event.name) == (P1, EventName.VIF_UNPLUGGED)


async def test_news_is_told_once_in_order_by_many_while_it_is_made(shared: Opened) -> None:
    told: list[OutboxItem] = []

    async def telling(store: SqlNetworkStore) -> None:
        while True:
            items = await store.take(NOW, 3)
            told.extend(items)
            await asyncio.sleep(0)
            await store.settle([judge(item, 200, NOW) for item in items], NOW)
            if not items:
                await store.appended()

    async with notifiers(shared, count=3, ports=6) as stores, asyncio.TaskGroup() as group:
        tasks = [group.create_task(telling(store)) for store in stores]
        for sequence in range(1, 16):
            await tell(stores[sequence % 3], sequence)
        async with asyncio.timeout(10):
            while (await stores[0].backlog()).waiting:
                await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
    assert len({item.id for item in told}) == len(told)
    for port in {item.event.tag for item in told}:
        ids = [item.id for item in told if item.event.tag == port]
        assert ids == sorted(ids)
    last = {item.event.tag: item.event.name for item in told}
    assert set(last.values()) == {EventName.VIF_PLUGGED}


async def test_what_a_dead_notifier_had_taken_goes_to_the_others_and_a_live_ones_does_not(shared: Opened) -> None:
    clock = Still(NOW)
    async with notifiers(shared, count=1, ports=2) as (first,), shared(NETWORK) as living:
        survivor = SqlNetworkStore(living, clock)
        async with shared(NETWORK) as database:
            doomed = SqlNetworkStore(database, Still(NOW))
            await tell(first)
            [lost] = await doomed.take(NOW, 1)
            clock.seconds += 2
            assert [item.event.tag for item in await survivor.take(NOW, 100)] == [P2]
        async with asyncio.timeout(AT_ONCE):
            found: list[OutboxItem] = []
            while not found:  # the server notices the end of a connection a moment later
                clock.seconds += 2
                found = list(await survivor.take(NOW, 100))
        assert found == [lost]


async def test_one_that_was_thought_dead_settles_nothing_of_others(shared: Opened) -> None:
    async with notifiers(shared, count=2, ports=1) as (cut_off, other), shared(NETWORK) as database:
        await tell(cut_off)
        [item] = await cut_off.take(NOW, 1)
        await end_bells(database)
        async with asyncio.timeout(AT_ONCE):
            while not (again := await other.take(NOW, 1)):
                await other.untake()
        assert again == [item]
        await cut_off.settle([judge(item, 200, NOW)], NOW)
        assert (await other.backlog()).waiting == 1
        await other.settle([judge(item, 200, NOW)], NOW)
        assert (await other.backlog()).waiting == 0


async def end_bells(database: Database) -> None:
    """The server ends the connections that listen."""
    ending = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    await database.run("ending", lambda session: session.execute(ending).all())


async def test_a_bell_is_heard_in_other_processes_at_once_when_the_transaction_is_committed(
    shared: Opened, url: str
) -> None:
    bell = PostgresBell("network_test", partial(connect, url, NETWORK), look_every=60)
    async with shared(NETWORK) as database:
        ringing = database.bell("test")
        await bell.heard()  # the first time it returns at once

        def fails(session: object) -> None:
            ringing.ring(session)  # type: ignore[arg-type]
            raise Conflict("no")

        with pytest.raises(Conflict):
            await database.run("failing", fails)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(bell.heard())
            await database.check()
            assert not waiting.done()
            async with asyncio.timeout(AT_ONCE):
                await database.run("ringing", ringing.ring)
                await waiting
    await bell.close()


async def test_a_bell_whose_connection_is_lost_listens_again_under_another_name(shared: Opened, url: str) -> None:
    bell = PostgresBell("network_test", partial(connect, url, NETWORK), look_every=60)
    async with shared(NETWORK) as database:
        before = await bell.name()
        await end_bells(database)
        async with asyncio.timeout(AT_ONCE):
            while await bell.name() == before:  # until the end has been noticed
                await bell.heard()
            for _ in range(3):  # it may have missed something, and rung for that
                await database.run("ringing", database.bell("test").ring)
                await bell.heard()
    await bell.close()


# ---- a server that goes away


async def test_a_lost_server_is_unavailable_and_found_again_when_it_is_back(url: str, server: Server) -> None:
    database = await open_postgresql(url, NETWORK)
    await asyncio.gather(*(database.check() for _ in range(CONNECTIONS)))
    for end in (server.stop, server.kill):
        end()
        try:
            with pytest.raises(Unavailable, match=r"^reading the database: the database cannot be used: [^/]*$"):
                await database.check()
            with pytest.raises(Unavailable, match=f"^postgresql:///contract cannot be used: {GONE}$"):  # no password
                await open_postgresql(url, NETWORK)
        finally:
            server.start()
        await asyncio.gather(*(database.check() for _ in range(CONNECTIONS)))
    await database.close()


async def test_a_lost_connection_in_mid_transaction_is_unavailable_and_nothing_is_done(shared: Opened) -> None:
    async with shared(NETWORK) as database:
        kill = text("SELECT pg_terminate_backend(pg_backend_pid())")
        with pytest.raises(Unavailable):
            await database.run("being cut off", lambda session: session.execute(kill))
        await database.check()


async def test_tables_that_change_under_a_process_are_read_as_they_are(shared: Opened) -> None:
    """What was prepared for the old ones is prepared anew."""
    every = text("SELECT * FROM agents")
    async with shared(NETWORK) as database, shared(NETWORK) as other:
        before = await database.run("reading", lambda session: list(session.execute(every).keys()))
        try:
            await other.run("altering", lambda session: session.execute(text("ALTER TABLE agents ADD more INTEGER")))
            after = await database.run("reading", lambda session: list(session.execute(every).keys()))
        finally:
            await other.run("mending", lambda session: session.execute(text("ALTER TABLE agents DROP more")))
    assert after == [*before, "more"]


async def test_units_of_work_have_their_turn_in_the_order_of_coming(shared: Opened) -> None:
    """However many come again and again: none is passed over until its time is up."""
    rounds = [0] * 20
    most_ahead = 0

    async with shared(NETWORK) as database:

        async def come(number: int) -> None:
            nonlocal most_ahead
            while max(rounds) < 10:
                await database.check()
                rounds[number] += 1
                most_ahead = max(most_ahead, rounds[number] - min(rounds))

        await asyncio.gather(*(database.check() for _ in range(CONNECTIONS)))
        await asyncio.gather(*(come(number) for number in range(len(rounds))))
    assert most_ahead <= 2


async def test_what_is_cancelled_in_mid_transaction_is_not_done_and_holds_nothing(shared: Opened) -> None:
    locked = text("SELECT pg_advisory_xact_lock(42)")

    async with shared(NETWORK) as database, shared(NETWORK) as other:

        def work(session: Session) -> None:
            subnet_work.create_networks(session, [network()])
            session.flush()
            session.execute(locked)
            session.execute(text("SELECT pg_sleep(60)"))

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(database.run("taking long", work)) for _ in range(CONNECTIONS)]
            await asyncio.sleep(0)
            async with asyncio.timeout(AT_ONCE):
                while not await other.run("asking", lambda session: session.scalar(text(WHO_HOLDS_42))):
                    await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
        async with asyncio.timeout(AT_ONCE):
            await other.run("locking", lambda session: session.execute(locked))
            await asyncio.gather(*(database.check() for _ in range(CONNECTIONS * 2)))
        assert await SqlNetworkStore(database, Still(NOW)).networks(None) == []


async def test_a_database_that_is_closed_has_no_connection_left_whatever_is_under_way(url: str) -> None:
    database, other = PostgresDatabase(url, NETWORK), PostgresDatabase(url, COMPUTE)
    mine = text(f"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'moorage {NETWORK.name}'")

    async def connections() -> int:
        return int(await other.run("asking", lambda session: session.scalar(mine)) or 0)

    try:
        async with asyncio.timeout(30):
            while await connections():  # of earlier tests
                await asyncio.sleep(0.01)
            async with asyncio.TaskGroup() as group:
                sleeping = text("SELECT pg_sleep(60)")
                under_way = group.create_task(outcome(database.run("sleeping", lambda one: one.execute(sleeping))))
                while not await connections():
                    await asyncio.sleep(0.01)
                await database.close()
                async with asyncio.timeout(AT_ONCE):  # the server would give it up after 6 s
                    assert isinstance(await under_way, Unavailable)
            while await connections():
                await asyncio.sleep(0.01)
    finally:
        await other.close()


async def outcome(call: Awaitable[object]) -> object:
    try:
        return await call
    except MoorageError as error:
        return error


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """A server that is there, and says nothing."""
    pids = server.processes()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


async def test_a_server_that_says_nothing_is_unavailable_in_time(url: str, server: Server) -> None:
    database = PostgresDatabase(url, NETWORK, limit=0.5)
    await database.check()
    began = asyncio.get_running_loop().time()
    with frozen(server), pytest.raises(Unavailable, match="did not answer in time"):
        await database.check()
    assert asyncio.get_running_loop().time() - began < 5
    await database.check()
    await database.close()


async def test_tables_that_are_not_there_or_not_of_this_version_are_refused_with_what_to_do(server: Server) -> None:
    url = server.make_database("empty")
    with pytest.raises(Invalid, match=r"the schema network of postgresql:///empty has no tables.*db upgrade"):
        await open_postgresql(url, NETWORK)
    for schema in SCHEMAS:
        assert await upgrade_postgresql(url, schema) == (None, schema.head)
        assert await upgrade_postgresql(url, schema) == (schema.head, schema.head)
        await (await open_postgresql(url, schema)).close()
    for revision, words in (
        ("0001", rf"older version.*0001.*wants {NETWORK.head}.*db upgrade"),
        ("9999", "newer version.*9999"),
    ):
        database = PostgresDatabase(url, NETWORK)
        note = text(f"UPDATE alembic_version SET version_num = '{revision}'")
        await database.run("noting", lambda session, note=note: session.execute(note))  # type: ignore[misc]
        await database.close()
        with pytest.raises(Invalid, match=words):
            await open_postgresql(url, NETWORK)
    with pytest.raises(Invalid, match="newer version"):
        await upgrade_postgresql(url, NETWORK)


async def test_a_server_that_may_lose_what_is_committed_is_warned_of(url: str) -> None:
    with capture_logs() as logs:
        await (await open_postgresql(url, NETWORK)).close()
        await (await open_postgresql(f"{url}&synchronous_commit=off", NETWORK)).close()
    assert [entry["event"].partition(":")[0] for entry in logs] == ["synchronous_commit is off"]


async def test_one_cloud_has_a_database_for_itself(url: str) -> None:
    async with alone(url):
        with pytest.raises(Conflict, match="another cloud runs on postgresql:///contract: each needs"):
            async with alone(url):
                pass
    async with asyncio.timeout(AT_ONCE):
        while True:  # the server notices a moment later that the connection has ended
            try:
                async with alone(url):
                    return
            except Conflict:
                await asyncio.sleep(0.01)


async def test_a_url_that_is_none_is_refused_without_what_is_in_it() -> None:
    for wrong in ("postgresql://u:sec:ret@host:port/name", "postgresql://[u:secret@host/name"):
        with pytest.raises(Invalid, match="URL cannot be read") as raised:
            await open_postgresql(wrong, NETWORK)
        assert "sec" not in raised.value.message
