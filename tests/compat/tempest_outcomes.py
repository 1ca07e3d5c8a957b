"""What became of each test on a list, by the outcomes that Tempest told."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from typing import Any

FIXTURE = re.compile(r"(?:setUp|tearDown)Class \((?P<name>.+)\)$")
FRAME = re.compile(r" *File \".+\", line \d+")
LONGEST_REASON = 600  # characters
PASSED = {"success", "xfail"}


@dataclass(frozen=True)
class Outcome:
    """One test, or one class's setUpClass or tearDownClass, as it ended."""

    test: str
    status: str  # subunit's word
    reason: str  # of a failure, or why it was skipped


@dataclass(frozen=True)
class Summary:
    passed: Sequence[str]
    skipped: Mapping[str, str]
    failures: Mapping[str, str]

    def json(self, seconds: float) -> dict[str, Any]:
        return {
            "passed": len(self.passed),
            "failed": len(self.failures),
            "skipped": len(self.skipped),
            "failures": [{"test": test, "reason": reason} for test, reason in self.failures.items()],
            "seconds": round(seconds, 1),
        }


def outcome_of(told: Mapping[str, Any]) -> Outcome:
    """The outcome in a line of tempest_stream.py."""
    details = told["details"]
    traces = [text for name, text in details.items() if name.startswith("traceback")]
    reason = details.get("reason") or "; ".join(map(reason_in, traces)) or f"it ended as {told['status']}"
    return Outcome(told["test"], told["status"], reason.strip())


def reason_in(trace: str) -> str:
    """What a trace says after its last frame: the exception with all of its words, on one line."""
    lines = trace.rstrip().splitlines()
    frames = [number for number, line in enumerate(lines) if FRAME.match(line)]
    rest = lines[frames[-1] + 1 :] if frames else lines
    words = [line.strip() for line in dropwhile(lambda line: line.startswith(" ") or not line, rest)]
    return " ".join(words)[:LONGEST_REASON]


def summed_up(wanted: Iterable[str], outcomes: Iterable[Outcome], wrongs: Sequence[str] = ()) -> Summary:
    """Each wanted test once: one that was not heard of shares its class's fate, or has failed for that.

    A class's own failure to clean up is a failure beside its tests', and so is what went wrong in the cloud itself.
    """
    tests = {outcome.test: outcome for outcome in outcomes}
    classes = {match["name"]: outcome for name, outcome in tests.items() if (match := FIXTURE.match(name))}
    passed: list[str] = []
    skipped: dict[str, str] = {}
    failures: dict[str, str] = {}
    for test in wanted:
        outcome = tests.get(test) or classes.get(class_of(test))
        if outcome is None:
            failures[test] = "it was not run: Tempest knows no such test, or ended before it"
        elif outcome.status in PASSED:
            passed.append(test)
        elif outcome.status == "skip":
            skipped[test] = outcome.reason
        else:
            failures[test] = outcome.reason if outcome.test == test else f"{outcome.test}: {outcome.reason}"
    for name, outcome in tests.items():
        if name.startswith("tearDownClass") and outcome.status not in {*PASSED, "skip"}:
            failures[name] = outcome.reason
    if wrongs:
        failures["moorage up"] = "; ".join(wrongs)[:LONGEST_REASON]
    return Summary(passed, skipped, failures)


def class_of(test: str) -> str:
    return test.partition("[")[0].rpartition(".")[0]
