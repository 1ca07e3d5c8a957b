"""Patterns in lists of servers: what users write is searched for, what would hold up the cloud is not."""

import re
import time

import pytest

from moorage.compute_api.listing import is_costly


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "web",
        "^web-1$",
        r"^.*\-instance\-[0-9]+$",  # Tempest's
        ".*?web.*?",
        r"10\.0\.0\.[2-9]",
        "web|db|cache",
        "^(web|db)-[0-9]{1,3}$",
        r"\(\*\+\?",
        "[*+?{|]+",
        "(?i)web",
        "(?:web)-.",
    ],
)
def test_what_users_search_for_is_searched_for(pattern: str) -> None:
    assert not is_costly(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a|a)*$",
        "(a?){99}$",
        "a*a*a*$",
        "a?" * 30 + "a" * 30,
        "(a|a)" * 30 + "b",
        "(?:a*)*b",
        r"[]]*\)*a*b",
        "x" * 256,
    ],
)
def test_what_might_take_long_is_not(pattern: str) -> None:
    assert is_costly(pattern)


@pytest.mark.parametrize("pattern", ["a*a*$", ".*.*b", "(a|a)" * 7 + "b", "(a*|a*|a)(a|a)(a|a)b"])
def test_the_costliest_of_the_others_are_soon_done(pattern: str) -> None:
    assert not is_costly(pattern)
    began = time.perf_counter()
    re.search(pattern, "a" * 255 + "!")
    assert time.perf_counter() - began < 0.5
