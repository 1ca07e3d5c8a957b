"""Each message on the bus is lost, late, twice there, overtaken, or its answer is lost: it costs seconds, and no more.

Reports, details, events, jobs, heartbeats, facts. By default in a boot and a delete, and in two other tales one mishap
for each message, in turn; MOORAGE_STRIKES=all does all of it to every tale.
"""

import os
from collections.abc import Sequence
from functools import partial
from itertools import cycle

import pytest
from tests.story.allowed import LATE, all_wrong
from tests.story.clouds import story
from tests.story.mishaps import Mishap
from tests.story.strikes import Call, Strikes, Tale, tell_all
from tests.story.tales import TALES

ALL = os.environ.get("MOORAGE_STRIKES") == "all"
WHOLLY = frozenset({"boot", "delete"})
IN_TURN = frozenset({"start", "agent restarted once seen"})
TOLD = [tale for tale in TALES if ALL or tale.name in WHOLLY | IN_TURN]


def chosen(calls: Sequence[Call], *, is_wholly: bool) -> Strikes:
    """Every type of message, for each of its receivers, the first of a tale."""
    first = {call.name: call for call in reversed(calls)}
    if is_wholly:
        return [(call, mishap) for call in first.values() for mishap in Mishap]
    return list(zip(first.values(), cycle(Mishap), strict=False))


@pytest.mark.timeout(3600 if ALL else 600)
@pytest.mark.parametrize("tale", TOLD, ids=lambda tale: tale.name.replace(" ", "-"))
async def test_with_any_one_message_in_trouble_a_server_ends_as_it_should(tale: Tale, errors: list[str]) -> None:
    choose = partial(chosen, is_wholly=ALL or tale.name in WHOLLY)
    told = await tell_all(tale, lambda mishaps: story(timeout=60, mishaps=mishaps), choose, late=LATE)
    wrong = all_wrong(told, errors)
    assert not wrong, wrong
