"""What every store of facts promises (seams/fact_store.py)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.contract.conftest import Opened

from moorage.adapters.database.timeline import TIMELINE, DatabaseFactStore
from moorage.domain.hops import Crossing, Fact, Hop, SubFact
from moorage.domain.ids import Generation, HostName, PortId, ServerId
from moorage.seams.fact_store import FactStore

NOW = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
SERVER, PORT = ServerId("s1"), PortId("p1")


@pytest.fixture
async def store(opened: Opened) -> AsyncIterator[FactStore]:
    async with opened(TIMELINE) as database:
        yield DatabaseFactStore(database)


def fact(
    what: Hop | SubFact, after: float = 0.0, *, server: ServerId | None = SERVER, port: PortId | None = PORT
) -> Fact:
    return Fact(what, NOW + timedelta(seconds=after), after, "test", server=server, port=port)


async def test_a_fact_comes_back_as_it_was(store: FactStore) -> None:
    crossing = Crossing("an exchange", 'a "key"', "a queue")
    full = Fact(Hop.PLUGGED, NOW, 1.5, "compute", SERVER, PORT, Generation("g"), 2, HostName("h1"), "ä", crossing)
    await store.add([full])
    assert await store.of(SERVER) == [full]
    assert await store.of(ServerId("s2")) == []


async def test_a_servers_facts_are_in_their_order_with_those_that_named_its_port_alone(store: FactStore) -> None:
    asked = fact(Hop.ASKED, port=None)
    plugged, seen, ready = (fact(hop, after) for hop, after in ((Hop.PLUGGED, 1), (Hop.SEEN, 2), (Hop.READY, 4)))
    wired = fact(Hop.WIRED, 3, server=None)
    strange = fact(Hop.WIRED, 3, server=None, port=PortId("p2"))
    other = fact(Hop.WIRED, 3, server=ServerId("s2"))
    await store.add([ready, strange, wired])
    await store.add([])
    await store.add([seen, other, plugged, asked])
    assert await store.of(SERVER) == [asked, plugged, seen, wired, ready]


async def test_the_newest_are_kept(store: FactStore) -> None:
    facts = [fact(Hop.SEEN, number) for number in range(5)]
    for one in facts:
        await store.add([one])
    assert await store.forget(keep=3) == 2
    assert await store.of(SERVER) == facts[2:]
    assert await store.forget(keep=3) == 0
