"""Tempest, a few of its tests of each API: what `script/tempest` runs, and how it tells what came of it."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.compat.clients import CHECKOUT
from tests.compat.tempest_outcomes import Outcome, outcome_of, summed_up
from tests.compat.tempest_run import HERE, listed

SCRIPT = CHECKOUT / "script" / "tempest"
CLASS = "tempest.api.compute.test_x.XTest"
ONE, TWO = f"{CLASS}.test_one[id-1]", f"{CLASS}.test_two[id-2,smoke]"


@pytest.mark.timeout(180)  # a hang; it takes 20 s
def test_tempest_passes_its_smoke_tests_and_what_it_does_not_know_has_failed(tmp_path: Path) -> None:
    smoke = listed(HERE / "smoke.txt")
    unknown = "tempest.api.compute.test_versions.TestVersions.test_that_nobody_wrote"
    these, result = tmp_path / "list.txt", tmp_path / "result.json"
    these.write_text("\n".join([*smoke, unknown]))
    ended = subprocess.run([SCRIPT, these, "--json", result], capture_output=True, text=True, check=False)
    told = json.loads(result.read_text())
    assert [(each["test"], "no such test" in each["reason"]) for each in told["failures"]] == [(unknown, True)]
    assert (told["passed"], told["failed"], told["skipped"]) == (len(smoke), 1, 0)
    assert f"{len(smoke)} passed, 1 failed, 0 skipped" in ended.stdout
    assert ended.returncode == 1


def test_the_smoke_tests_are_on_the_core_list() -> None:
    assert set(listed(HERE / "smoke.txt")) < set(listed(HERE / "core.txt"))


def test_each_test_counts_once_with_the_reason_of_its_failure() -> None:
    summary = summed_up(
        [ONE, TWO], [Outcome(ONE, "success", ""), Outcome(TWO, "fail", "NotFound: no server"), Outcome("x", "fail", "")]
    )
    assert summary.json(1.04) == {
        "passed": 1,
        "failed": 1,
        "skipped": 0,
        "failures": [{"test": TWO, "reason": "NotFound: no server"}],
        "seconds": 1.0,
    }


def test_tests_whose_class_could_not_be_set_up_share_its_fate() -> None:
    failed = summed_up([ONE, TWO], [Outcome(f"setUpClass ({CLASS})", "fail", "Conflict: full")])
    assert failed.failures[ONE] == f"setUpClass ({CLASS}): Conflict: full"
    assert len(failed.failures) == 2
    skipped = summed_up([ONE], [Outcome(f"setUpClass ({CLASS})", "skip", "no volumes")])
    assert skipped.skipped == {ONE: "no volumes"}


def test_what_was_never_run_and_what_was_not_cleaned_up_have_failed() -> None:
    summary = summed_up(
        [ONE, TWO], [Outcome(ONE, "success", ""), Outcome(f"tearDownClass ({CLASS})", "fail", "Conflict")]
    )
    assert list(summary.passed) == [ONE]
    assert set(summary.failures) == {TWO, f"tearDownClass ({CLASS})"}


def test_what_went_wrong_in_the_cloud_is_a_failure_beside_the_tests() -> None:
    summary = summed_up([ONE], [Outcome(ONE, "success", "")], ["a part of it failed"])
    assert (list(summary.passed), summary.failures) == ([ONE], {"moorage up": "a part of it failed"})


def test_a_reason_is_what_the_trace_says_in_the_end() -> None:
    frames = 'Traceback (most recent call last):\n\n  File "a.py", line 1, in b\n    c()\n    ^^^\n\n'
    trace = f"{frames}x.NotFound: gone\nDetails: no id\n  nor name\n"
    outcome = outcome_of({"test": ONE, "status": "fail", "details": {"traceback": trace}})
    assert outcome.reason == "x.NotFound: gone Details: no id nor name"


def test_a_list_that_is_not_there_is_a_mistake_in_the_command(tmp_path: Path) -> None:
    ended = subprocess.run([SCRIPT, tmp_path / "none.txt"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "No such file" in ended.stderr
