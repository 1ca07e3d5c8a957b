"""Each call of each seam fails, hangs, answers late, in vain, twice: the server ends as it should, soon, and whole.

By default a boot, a stop and a delete meet all kinds at each call (told apart by the hop it is made after), the other
tales one kind at each, in turn. MOORAGE_STRIKES=all tells every tale, with and without a fatal timeout, with every kind
at every call: an hour.
"""

import asyncio
import os
from collections.abc import Sequence
from itertools import cycle

import pytest
from tests.story.clouds import Story, story
from tests.story.faults import Fault, Faults, show_no_task
from tests.story.strikes import LATE, Call, Tale, Told, calls_of, kinds_for, tell
from tests.story.tales import TALES

ALL = os.environ.get("MOORAGE_STRIKES") == "all"
WHOLLY = frozenset({"boot", "stop", "delete"})
IN_TURN = {
    "start",
    "hard reboot",
    "pause",
    "unpause",
    "deleted once plugged",
    "deleted once heard",
    "agent restarted once seen",
} | {f"compute restarted once {hop}" for hop in ("bound", "plugged", "running")}

Strikes = Sequence[tuple[Call, Fault]]


def chosen(tale: Tale, calls: Sequence[Call], *, is_wholly: bool) -> Strikes:
    """Which calls meet which faults."""
    if ALL:
        return [(call, kind) for call in calls for kind in Fault]
    if is_wholly:
        first_after = {(call.name, call.moment): call for call in reversed(calls)}
        return [(call, kind) for call in first_after.values() for kind in kinds_for(call.name)]
    kinds, first = cycle(Fault), {call.name: call for call in reversed(calls)}
    return [(call, next(kind for kind in kinds if kind in kinds_for(name))) for name, call in first.items()]


async def struck(tale: Tale, *, is_fatal: bool, is_wholly: bool) -> None:
    before = asyncio.all_tasks()
    strikes: Strikes = []
    told: list[Told] = []
    while not strikes or len(told) < len(strikes):
        faults = Faults(late=LATE)
        async with story(timeout=60, is_fatal=is_fatal, faults=faults) as cloud:
            strikes = strikes or chosen(tale, await calls_of(tale, cloud, faults), is_wholly=is_wholly)
            await _tell_on(tale, cloud, faults, strikes, told)
        await show_no_task(before, told[-1])
    wrong = [str(one) for one in told if one.verdict()]
    assert not wrong, "\n".join([f"{len(wrong)} of {len(told)}:", *wrong])
    assert sum(one.is_struck for one in told) > 0.7 * len(told)  # some end before they come to their call


async def _tell_on(tale: Tale, cloud: Story, faults: Faults, strikes: Strikes, told: list[Told]) -> None:
    """Tell until something has gone wrong, so that the next is told in a cloud that is whole."""
    for call, kind in strikes[len(told) :]:
        told.append(await tell(tale, cloud, faults, call, kind))
        if told[-1].failure:
            return


TOLD = [tale for tale in TALES if ALL or tale.name in WHOLLY | IN_TURN]


@pytest.mark.usefixtures("silence")
@pytest.mark.timeout(3600 if ALL else 120)
@pytest.mark.parametrize("tale", TOLD, ids=lambda tale: tale.name.replace(" ", "-"))
async def test_with_any_one_call_struck_a_server_ends_as_it_should(tale: Tale) -> None:
    await struck(tale, is_fatal=True, is_wholly=tale.name in WHOLLY)


@pytest.mark.usefixtures("silence")
@pytest.mark.timeout(3600 if ALL else 120)
@pytest.mark.parametrize("tale", TOLD if ALL else TOLD[:1], ids=lambda tale: tale.name.replace(" ", "-"))
async def test_with_any_one_call_struck_and_no_fatal_timeout_a_server_ends_as_it_should(tale: Tale) -> None:
    await struck(tale, is_fatal=False, is_wholly=False)


def test_what_is_left_out_by_default_is_named() -> None:
    names = {tale.name for tale in TALES}
    assert names >= WHOLLY | IN_TURN


async def test_a_network_that_is_away_for_ten_seconds_delays_a_boot_and_fails_none() -> None:
    faults = Faults()
    async with story(timeout=60, faults=faults) as cloud:
        faults.arm(Fault.UNAVAILABLE, "a host's Network API.ports")
        faults.lasting = 8  # tries, with pauses that grow to 2 s
        server = await cloud.create()
        assert await cloud.settled(server, within=60) == "ACTIVE"
        assert len(faults.struck) == 8


async def test_no_task_is_left_over_when_a_cloud_ends_in_the_middle_of_boots() -> None:
    before = asyncio.all_tasks()
    async with story() as cloud:
        for number in range(20):
            await cloud.create(f"web-{number}")
        await asyncio.sleep(0.003)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
