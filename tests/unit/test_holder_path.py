"""The holder's Python finds us, and what the user has on PYTHONPATH as well."""

import os
from pathlib import Path

import moorage
from moorage.adapters.world.client import python_path

OURS = str(Path(moorage.__file__).parents[1])


def test_the_users_own_path_is_kept_behind_ours() -> None:
    assert python_path({"PYTHONPATH": "/theirs:/too"}) == os.pathsep.join([OURS, "/theirs", "/too"])


def test_without_one_there_is_ours_alone() -> None:
    assert python_path({}) == python_path({"PYTHONPATH": ""}) == OURS
