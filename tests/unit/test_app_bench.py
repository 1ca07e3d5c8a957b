"""Samples become the figures of `bench handshake`."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from moorage.app.bench import (
    Pause,
    Pauses,
    Sample,
    Spread,
    assembled,
    beside_floor,
    handshake_json,
    per_second,
    spread,
)
from moorage.app.config import HostKind
from moorage.app.results import HopTime, hop_times
from moorage.domain.hops import HOPS, Hop

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def sample(after: float, handshake: float) -> Sample:
    """A boot asked for `after` seconds that ran 1 s later, and had its address 1 s after that."""
    asked = START + timedelta(seconds=after)
    hops = tuple(
        HopTime(hop, asked + timedelta(seconds=number / 9), number * 1000 / 9) for number, hop in enumerate(HOPS)
    )
    return Sample(True, hops, handshake, asked + timedelta(seconds=2))


def test_the_figures_of_three_boots() -> None:
    found = assembled(HostKind.NETNS, [sample(0, 12), sample(1, 10), sample(2, 14)], [8.0, 6.0, 7.0], concurrency=1)
    assert found.plugged_to_running_ms == Spread(10.0, 12.0, 14.0)
    assert found.floor_ms == 7.0
    assert found.boots_per_s == 1.0  # three boots; the last ran 3 s after the first was asked for
    assert found.addresses_per_s == 0.75
    assert found.hops[Hop.RUNNING] == Spread(1000.0, 1000.0, 1000.0)


def test_the_json_has_the_keys_that_checks_rely_on() -> None:
    data = handshake_json(assembled(HostKind.QEMU, [sample(0, 10)], [8.0], concurrency=1))
    assert {key: value for key, value in data.items() if key != "hops"} == {
        "host_kind": "qemu",
        "device": "tap",
        "boots": 1,
        "concurrency": 1,
        "boots_per_s": 1.0,
        "addresses_per_s": 0.5,
        "plugged_to_running_ms": {"min": 10, "median": 10, "p99": 10},
        "plugged_to_woken_ms": {"min": 666.667, "median": 666.667, "p99": 666.667},
        "asked_to_address_ms": {"min": 2000, "median": 2000, "p99": 2000},
        "floor_ms": {"median": 8.0},
        "overhead_ms": 2.0,
        "ratio_to_floor": 1.25,
    }
    assert list(data["hops"]) == [hop.value for hop in HOPS]


def test_a_boot_that_failed_is_asked_for_and_not_counted() -> None:
    found = assembled(HostKind.NETNS, [sample(0, 10), Sample(False, hop_times([]), None, None)], [8.0], concurrency=2)
    assert (found.boots, found.asked) == (1, 2)


def test_no_boots_at_all_make_no_figures() -> None:
    found = assembled(HostKind.NETNS, [], [], concurrency=1)
    assert found.plugged_to_running_ms == Spread(None, None, None)
    assert (found.boots_per_s, found.floor_ms) == (None, None)
    assert handshake_json(found)["overhead_ms"] is None


@pytest.mark.parametrize(
    ("times", "p99"),
    [([5.0], 5.0), ([float(n) for n in range(1, 101)], 99.0), ([float(n) for n in range(1, 102)], 100.0)],
)
def test_p99_is_the_nearest_rank(times: list[float], p99: float) -> None:
    assert spread(times).p99 == p99


def test_a_floor_of_nothing_has_no_ratio() -> None:
    assert beside_floor(3.0, 0.0) == (3.0, None)


def test_boots_at_one_instant_have_no_rate() -> None:
    assert per_second(1, [START], [START]) is None


def test_the_rate_leaves_out_the_pauses_before_the_last_boot() -> None:
    ends = START + timedelta(seconds=10)
    between, after = Pause(START + timedelta(seconds=4), 5.0), Pause(ends, 5.0)
    assert per_second(10, [START], [ends], [between, after]) == 2.0


class Bridge:
    """What the floor finds when it is measured: boots under way, and guests that stand."""

    def __init__(self) -> None:
        self.booting = 0
        self.standing = 0
        self.found: list[tuple[int, int]] = []
        self.is_settled = False

    async def settled(self) -> None:
        self.is_settled = True

    async def floor_round(self) -> float:
        self.found.append((self.booting, self.standing))
        self.is_settled = False
        await asyncio.sleep(0.001)
        assert (self.booting, self.standing) == self.found[-1]
        return 3.0


@pytest.mark.parametrize(("workers", "count", "rounds"), [(1, 7, 7), (4, 4, 20), (4, 19, 20), (4, 90, 20), (3, 5, 20)])
async def test_the_floor_is_measured_while_as_many_guests_stand_and_nothing_boots(
    workers: int, count: int, rounds: int
) -> None:
    bridge = Bridge()
    pauses = Pauses(bridge, workers, turns=count // workers)

    async def boots(first: int) -> None:
        for turn, number in enumerate(range(first, count, workers)):
            bridge.booting += 1
            await asyncio.sleep(0.001 * (number % 3))
            bridge.booting -= 1
            bridge.standing += 1
            await pauses.take(turn)
            bridge.standing -= 1

    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(boots(number))
    assert len(pauses.floor) == rounds
    assert set(bridge.found) == {(0, workers)}
    assert bridge.is_settled  # before boots go on
