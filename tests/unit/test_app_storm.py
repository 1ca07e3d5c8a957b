"""Times of ports become the figures of `bench storm`; what is heard tells when all are ready."""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime

import pytest

from moorage.app.plugging import Readiness
from moorage.app.storm import Storm, storm_of
from moorage.domain.errors import Unavailable
from moorage.domain.hops import Fact, Hop, SubFact
from moorage.domain.ids import PortId

ONE, TWO = PortId("one"), PortId("two")


def test_a_storm_lasts_from_the_first_plug_to_the_last_ready() -> None:
    found = storm_of({ONE: 10.0, TWO: 10.1}, {ONE: 10.2, TWO: 10.5}, transactions=4, batches=2)
    assert found == Storm(2, 0.5, 4.0, 400.0, 4, 2)
    assert list(asdict(found)) == [
        "ports",
        "seconds",
        "ports_per_s",
        "p99_ms",
        "ovsdb_transactions",
        "flow_batches",
    ]


def told(what: Hop | SubFact, port: PortId, monotonic: float = 0.0) -> Fact:
    return Fact(what, datetime(2026, 1, 2, tzinfo=UTC), monotonic, "network", port=port)


async def test_ports_are_awaited_by_what_the_network_tells() -> None:
    readiness = Readiness()
    readiness.hear(told(SubFact.DHCP_READY, ONE))
    readiness.hear(told(Hop.READY, TWO, 3.0))
    await readiness.until_reserved([ONE])
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(readiness.until_ready([ONE, TWO]))
        await asyncio.sleep(0)
        assert not waiting.done()
        readiness.hear(told(Hop.READY, ONE, 4.0))
    assert readiness.ready == {TWO: 3.0, ONE: 4.0}


@pytest.mark.looptime
async def test_ports_that_stay_silent_are_not_awaited_for_ever() -> None:
    with pytest.raises(Unavailable, match="some of 2 ports are not ready"):
        await Readiness().until_ready([ONE, TWO])
