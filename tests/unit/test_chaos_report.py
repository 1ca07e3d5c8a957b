"""The crash sweep's plan is its seed's alone; its report names each cell, and each that does not count."""

from datetime import datetime, timedelta

from tests.chaos.cells import ALL, VICTIMS, Cell
from tests.chaos.evidence import Asked, Evidence
from tests.chaos.history import judged
from tests.chaos.plan import plan
from tests.chaos.report import as_json, table, violations
from tests.chaos.sweep import fell
from tests.unit.ports import NOW
from tests.unit.test_chaos_history import ID, server, story

from moorage.domain.hops import HOPS, Hop

FINE = Cell(Hop.SEEN, "agent", counted=True, delay=1.25, restart=1.0)
SLOW = Cell(Hop.WIRED, "agent", counted=True, delay=3.5, restart=1.0)
MISSED = Cell(Hop.WIRED, "compute", counted=False, delay=0.5, restart=1.0)
LOST = Cell(Hop.SEEN, "compute", counted=True, delay=None, restart=1.0)


def test_the_sweep_has_a_cell_for_each_victim_at_each_hop() -> None:
    assert len(ALL) == len(set(ALL)) == len(HOPS) * len(VICTIMS) == 100


def test_a_seed_stands_for_one_plan() -> None:
    assert plan(7, 30) == plan(7, 30)
    assert plan(7, 30) != plan(8, 30)


def test_a_plan_has_deaths_as_long_as_it_has_boots() -> None:
    made = plan(7, 30)
    assert len(made.lives) == 30
    assert {life.wanted for life in made.lives} == {"ACTIVE", "SHUTOFF", "DELETED"}
    assert made.deaths[0].at < 1.0
    assert made.deaths[-1].at > made.lives[-1].at - 4.0
    assert max(len(death.parts) for death in made.deaths) > 1


def test_a_death_counts_only_between_its_hop_and_the_next() -> None:
    def at(second: int) -> datetime:
        return NOW + timedelta(seconds=second)

    times: dict[str, datetime] = {Hop.SEEN: at(1), Hop.WIRED: at(5), Hop.RUNNING: at(9)}
    assert fell(times, Hop.SEEN, at(2), at(3))
    assert not fell(times, Hop.SEEN, at(0), at(3))
    assert not fell(times, Hop.SEEN, at(4), at(6))
    assert not fell(times, Hop.PLUGGED, at(0), at(0))  # nobody has told that it was plugged
    assert fell(times, Hop.WIRED, at(6), at(8))  # of the next nobody has told, but of a later one
    assert not fell(times, Hop.WIRED, at(6), at(10))
    assert not fell({Hop.WIRED: at(5)}, Hop.WIRED, at(6), at(8))  # what came after it nobody knows
    assert fell(times, Hop.RUNNING, at(10), at(10))


def test_a_cell_that_missed_is_a_violation() -> None:
    sound = judged(story(server()))
    assert violations([FINE, SLOW], sound) == []
    assert violations([FINE, MISSED], sound) == ["the kill of compute at wired fell elsewhere"]


def test_a_cell_whose_boot_has_no_end_is_a_violation() -> None:
    assert violations([LOST], judged(story(server()))) == ["no end of the boot in which compute died at seen"]


def test_the_table_shows_cost_and_absence_and_marks_what_is_not_as_it_should_be() -> None:
    lines = table([FINE, SLOW, MISSED, LOST]).splitlines()
    assert [line.split() for line in lines] == [
        ["agent", "compute"],
        ["seen", "1.25", "(1.00)", "lost"],
        ["wired", "3.50", "(1.00)!", "0.50", "(1.00)?"],
    ]


def test_the_json_counts_how_boots_ended() -> None:
    evidence = story(server())
    found = as_json(7, [FINE], evidence, judged(evidence))
    assert found["boots"] == found["active"] == 1
    assert found["error"] == found["deleted"] == found["lost_boots"] == found["lost_events"] == 0
    assert found["leaks"] == found["violations"] == []
    assert found["table"] == [
        {"hop": "seen", "victim": "agent", "delay_s": 1.25, "restart_s": 1.0, "counted": True},
    ]


def test_a_server_without_a_record_is_a_lost_boot() -> None:
    lost = Evidence(asked=(Asked(ID, "ACTIVE"),))
    assert as_json(7, [], lost, judged(lost))["lost_boots"] == 1
