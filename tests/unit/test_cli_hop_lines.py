"""The ten hops as people see them."""

import pytest

from moorage.app.results import HopTime
from moorage.cli.hop_lines import bar, hop_lines
from moorage.domain.hops import HOPS, Crossing, Hop


def times(**ms: float) -> list[HopTime]:
    return [HopTime(hop, None, ms.get(hop.value)) for hop in HOPS]


WHOLE = times(
    asked=0.0,
    bound=40.0,
    plugged=96.2,
    seen=97.0,
    wired=101.0,
    ready=102.0,
    told=102.5,
    heard=103.0,
    woken=103.5,
    running=103.9,
)


def test_a_whole_boot() -> None:
    assert hop_lines(WHOLE, 7.7) == [
        "  asked        0.0 ms ▏",
        "  bound       40.0 ms █████████▎",
        "  plugged     96.2 ms █████████████",
        "  seen        97.0 ms ▏",
        "  wired      101.0 ms ▉",
        "  ready      102.0 ms ▎",
        "  told       102.5 ms ▏",
        "  heard      103.0 ms ▏",
        "  woken      103.5 ms ▏",
        "  running    103.9 ms ▏ held for 7.7 ms, until its port was proven ready",
    ]


def test_a_hop_that_did_not_happen_has_a_dash() -> None:
    lines = hop_lines(times(asked=0.0, running=5.0))
    assert lines[8] == "  woken          \u2013"


def test_a_guest_that_ran_before_its_port_was_ready_was_not_held_until_then() -> None:
    assert hop_lines(times(asked=0.0, running=5000.0, ready=9000.0), 4800.0)[9].endswith(" held for 4800.0 ms")


def test_no_facts_are_ten_dashes() -> None:
    assert len(hop_lines(times())) == len(HOPS)


@pytest.mark.parametrize(("part", "drawn"), [(0.0, "▏"), (1.0, "▏"), (25.0, "██"), (27.0, "██▏"), (100.0, "████████")])
def test_bars_are_scaled_to_the_total(part: float, drawn: str) -> None:
    assert bar(part, 100.0, width=8) == drawn


def test_the_bars_of_a_boot_fill_the_width() -> None:
    assert bar(1.0, 0.0) == "▏"
    assert Hop.ASKED.value in hop_lines(WHOLE)[0]


def test_a_hop_that_crossed_the_bus_says_how() -> None:
    crossed = [HopTime(Hop.HEARD, None, 1.0, Crossing("moorage.hosts", "compute.h", "compute.h"))]
    assert hop_lines(crossed)[0].endswith(" by moorage.hosts → compute.h")
    elsewhere = [HopTime(Hop.HEARD, None, 1.0, Crossing("an exchange", "a key", "a queue"))]
    assert hop_lines(elsewhere)[0].endswith(" by an exchange → a key → a queue")
