"""What benches say becomes one table: what was measured, beside what is wanted."""

import pytest

from moorage.app import figures
from moorage.app.figures import Figure
from moorage.cli.bench_all import figure_line
from moorage.cli.output import output

HANDSHAKE = {
    "boots": 50,
    "concurrency": 50,
    "boots_per_s": 44.0,
    "plugged_to_running_ms": {"median": 9.2},
    "plugged_to_woken_ms": {"median": 6.0},
    "asked_to_address_ms": {"median": 2512.3},
    "hops": {"running": {"median": 33.8}},
    "floor_ms": {"median": 2.5},
    "overhead_ms": 6.7,
}


@pytest.mark.parametrize(
    ("figure", "is_met"),
    [
        (Figure("a", 10.0, "ms", goal=10.0), True),
        (Figure("a", 10.1, "ms", goal=10.0), False),
        (Figure("a", 10.0, "/s", goal=10.0, is_least=True), True),
        (Figure("a", 9.9, "/s", goal=10.0, is_least=True), False),
        (Figure("a", 9.9, "/s"), None),
        (Figure("a", None, "/s", goal=10.0), None),
    ],
)
def test_a_goal_is_met_from_its_side(figure: Figure, is_met: bool | None) -> None:
    assert figure.is_met is is_met


def test_every_goal_of_the_handshake_is_held_against_what_was_measured() -> None:
    found = [
        *figures.single_figures(HANDSHAKE),
        *figures.crowd_figures(HANDSHAKE, 50),
        *figures.qemu_figures(HANDSHAKE),
    ]
    assert [(figure.measured, figure.goal, figure.is_met) for figure in found if figure.goal is not None] == [
        (9.2, 20.0, True),
        (6.7, 10.0, True),
        (44.0, 20.0, True),
        (0, 0, True),
        (2.51, 3.0, True),
        (6.0, 20.0, True),
    ]
    assert {figure.floor for figure in found} == {2.5, None}


def test_one_boot_that_was_lost_is_one_too_many() -> None:
    [_, lost, _] = figures.crowd_figures({**HANDSHAKE, "boots": 49}, 50)
    assert (lost.measured, lost.is_met) == (1, False)


def test_a_figure_is_one_line() -> None:
    with output() as out:
        lines = [
            figure_line(Figure("boots", 44.0, "/s", 20.0, is_least=True, floor=50.0, openstack="0.3 /s"), out),
            figure_line(Figure("packets lost", 0, "of 269", goal=0), out),
            figure_line(Figure("qemu", None, "", why="there is no qemu: apt-get install it"), out),
        ]
    assert [line.split() for line in lines] == [
        ["✓", "boots", "44", "/s", "≥", "20", "/s", "50.0", "/s", "0.3", "/s"],
        ["✓", "packets", "lost", "0", "of", "269", "≤", "0"],
        ["\u2013", "qemu", "\u2013", "there", "is", "no", "qemu:", "apt-get", "install", "it"],
    ]
