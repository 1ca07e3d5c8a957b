"""Each call of each seam fails, hangs, answers late, in vain, twice: the server ends as it should, soon, and whole.

By default a boot and a delete meet all kinds at the first call of each name, and one kind, in turn, at what is called
again after a later hop; the other tales one kind at each call. MOORAGE_STRIKES=all tells every tale, with and without
a fatal timeout, with every kind at every call: an hour.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from tests.story.allowed import LATE, all_wrong, kinds_for
from tests.story.clouds import story
from tests.story.faults import Fault, Faults
from tests.story.strikes import Call, Strikes, Tale, tell_all
from tests.story.tales import FAILING, TALES, WITH_IMAGE

ALL = os.environ.get("MOORAGE_STRIKES") == "all"
WHOLLY = frozenset({"boot", "delete"})
IN_TURN = frozenset(
    {"stop", "hard reboot", "soft reboot", "pause", "unpause", "deleted once heard", "agent restarted once seen"}
    | {f"compute restarted once {hop}" for hop in ("plugged", "running")}
)
A_HANG = 3600 if ALL else 600  # seconds; some ten where nothing else runs


def chosen(calls: Sequence[Call], *, is_wholly: bool) -> Strikes:
    """Which calls meet which faults."""
    if ALL:
        return [(call, kind) for call in calls for kind in Fault]
    kinds = cycle(Fault)
    first = {call.name: call for call in reversed(calls)}
    first_after = {(call.name, call.moment): call for call in reversed(calls)} if is_wholly else first
    in_turn = [(call, next(kind for kind in kinds if kind in kinds_for(call.name))) for call in first_after.values()]
    wholly = [(call, kind) for call in first.values() if is_wholly for kind in kinds_for(call.name)]
    return list(dict.fromkeys(wholly + in_turn))


async def struck(
    tale: Tale, choose: Callable[[Sequence[Call]], Strikes], errors: Sequence[str], *, waits: float = 0.0, **cloud: Any
) -> None:
    """Tell the tale with each strike that is chosen. `waits`: seconds that a clean telling takes."""
    told = await tell_all(tale, lambda faults: story(faults=faults, **cloud), choose, late=LATE)
    wrong = all_wrong(told, errors, waits)
    assert not wrong, wrong


TOLD = [tale for tale in TALES if ALL or tale.name in WHOLLY | IN_TURN]


@pytest.mark.timeout(A_HANG)
@pytest.mark.parametrize("tale", TOLD, ids=lambda tale: tale.name.replace(" ", "-"))
@pytest.mark.parametrize("is_fatal", [True, False] if ALL else [True])  # they differ when it ends: see FAILING
async def test_with_any_one_call_struck_a_server_ends_as_it_should(
    tale: Tale, is_fatal: bool, errors: list[str]
) -> None:
    await struck(tale, partial(chosen, is_wholly=tale.name in WHOLLY), errors, timeout=60, is_fatal=is_fatal)


@pytest.mark.timeout(A_HANG)
async def test_with_its_image_coming_late_or_in_vain_a_server_boots(tmp_path: Path, errors: list[str]) -> None:
    def of_image(calls: Sequence[Call]) -> Strikes:
        return [(call, kind) for call in calls if "a host's Image API" in call.name for kind in kinds_for(call.name)]

    await struck(WITH_IMAGE, of_image, errors, timeout=60, images=tmp_path)


@pytest.mark.timeout(A_HANG)
async def test_with_any_one_call_struck_a_boot_that_has_to_fail_leaves_nothing(errors: list[str]) -> None:
    await struck(FAILING, partial(chosen, is_wholly=False), errors, waits=5.0, timeout=5.0)


def test_what_is_told_by_default_is_there() -> None:
    assert {tale.name for tale in TALES} >= WHOLLY | IN_TURN


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
