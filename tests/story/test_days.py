"""Random days by seeds: users' wishes, faults, lost messages and restarts at once; at the end everything fits together.

MOORAGE_SEEDS=N tries the first N seeds instead of the usual few, MOORAGE_SEED=K only this one.
"""

import os

import pytest
from tests.story.days import lived
from tests.story.schedule import plan, told

USUAL = 4
ONE = os.environ.get("MOORAGE_SEED")
SEEDS = range(int(os.environ.get("MOORAGE_SEEDS", USUAL))) if ONE is None else [int(ONE)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_day_of_short_troubles_ends_as_its_users_wish(seed: int, errors: list[str]) -> None:
    happenings = plan(seed)
    wrong = await lived(happenings) + errors
    assert not wrong, f"MOORAGE_SEED={seed}\n" + "\n".join(wrong) + "\n\n" + told(happenings)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_day_of_long_troubles_leaves_nothing_half_done(seed: int, errors: list[str]) -> None:
    happenings = plan(seed, is_rough=True)
    wrong = await lived(happenings, is_rough=True) + errors
    assert not wrong, f"MOORAGE_SEED={seed}\n" + "\n".join(wrong) + "\n\n" + told(happenings)
