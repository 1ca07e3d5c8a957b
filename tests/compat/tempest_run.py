"""`script/tempest`: Tempest against a Moorage of its own, test by test; nothing of either is left behind."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tests.compat.clients import CHECKOUT
from tests.compat.clouds import running_cloud
from tests.compat.tempest_cloud import configure
from tests.compat.tempest_outcomes import PASSED, Outcome, Summary, outcome_of, summed_up

BIN = CHECKOUT / ".venv-tempest" / "bin"
HERE = Path(__file__).parent
CORE = HERE / "core.txt"
ENDS_WITHIN = 30.0  # seconds that Tempest gets to end when it is interrupted


def main() -> int:
    """0: all passed, or were skipped; 1: one failed; 2: it could not be run."""
    parser = argparse.ArgumentParser(prog="script/tempest", description=__doc__)
    parser.add_argument("list", nargs="?", type=Path, default=CORE, metavar="LIST", help="test ids, one a line [core]")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="how many tests at a time [2]")
    parser.add_argument("--host-kind", choices=["simulated", "netns", "qemu"], default="simulated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the result as JSON, too")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the logs of a run with failures there")
    asked = parser.parse_args()
    if asked.workers < 1:
        parser.error("--workers: at least 1")
    try:
        wanted = listed(asked.list)
    except OSError as error:
        parser.error(f"{asked.list}: {error.strerror}")
    signal.signal(signal.SIGTERM, _interrupted)
    begun = time.monotonic()
    try:
        summary = run(wanted, workers=asked.workers, host_kind=asked.host_kind, keep=asked.keep, say=_say)
    except AssertionError as error:
        _say(f"could not be run: {error}")
        return 2
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    result = summary.json(time.monotonic() - begun)
    show(summary, result["seconds"])
    if asked.json is not None:
        asked.json.write_text(json.dumps(result, indent=2) + "\n")
    return 1 if summary.failures else 0


def listed(path: Path) -> Sequence[str]:
    """The tests on a list, without blank lines and comments."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    return list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))


def run(
    wanted: Sequence[str],
    *,
    workers: int = 2,
    host_kind: str = "simulated",
    keep: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Summary:
    """What became of the tests, in a cloud made for them. Raises AssertionError when it failed as a whole."""
    with tempfile.TemporaryDirectory(prefix="moorage-tempest-") as made:
        home = Path(made)
        wrongs: list[str] = []
        try:
            with running_cloud(home, host_kind=host_kind, wrongs=wrongs) as place:
                directory = home / "tempest"
                directory.mkdir()
                config = configure(place, directory)
                outcomes = []
                for outcome in told(wanted, config, workers):
                    outcomes.append(outcome)
                    if outcome.status not in {*PASSED, "skip"}:
                        say(f"{outcome.status}: {outcome.test}")
                say((directory / "errors.log").read_text())
            summary = summed_up(wanted, outcomes, wrongs)
        finally:
            if keep is not None:
                kept(home, keep)
    return summary


def told(wanted: Sequence[str], config: Path, workers: int) -> Iterator[Outcome]:
    """Run the tests; each outcome as it comes."""
    directory = config.parent
    (directory / "list").write_text("\n".join(wanted) + "\n")
    command: list[str | Path] = [
        BIN / "tempest",
        "run",
        "--config-file",
        config,
        "--load-list",
        directory / "list",
        "--subunit",
    ]
    command += ["--serial"] if workers == 1 else ["--concurrency", str(workers)]
    with (
        (directory / "errors.log").open("wb") as errors,
        running(command, directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as tempest,
        running(
            [BIN / "python", HERE / "tempest_stream.py"], directory, stdin=tempest.stdout, stdout=subprocess.PIPE
        ) as stream,
    ):
        assert stream.stdout is not None
        for line in stream.stdout:
            yield outcome_of(json.loads(line))


@contextmanager
def running(command: Sequence[str | Path], directory: Path, **streams: object) -> "Iterator[subprocess.Popen[bytes]]":
    """A process with all its children in a group of its own, which ends with the block."""
    home = {"HOME": str(directory), "PYTHONWARNINGS": "ignore"}
    environ = {**{name: value for name, value in os.environ.items() if not name.startswith("OS_")}, **home}
    process: subprocess.Popen[bytes] = subprocess.Popen(
        command,
        cwd=directory,
        env=environ,
        start_new_session=True,
        **streams,  # type: ignore[call-overload]
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(ENDS_WITHIN)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)


def kept(home: Path, place: Path) -> None:
    """The logs of both sides, copied to where they can be read afterwards."""
    place.mkdir(parents=True, exist_ok=True)
    for log in (*home.glob("state/*.log"), *home.glob("tempest/*.log"), *home.glob("tempest/tempest.conf")):
        shutil.copy(log, place)


def show(summary: Summary, seconds: float) -> None:
    for test, reason in summary.failures.items():
        print(f"FAILED  {test}\n        {reason}")
    for test, reason in summary.skipped.items():
        print(f"skipped {test}\n        {reason}")
    counts = f"{len(summary.passed)} passed, {len(summary.failures)} failed, {len(summary.skipped)} skipped"
    print(f"{counts}, in {seconds:.0f} s")


def _say(text: str) -> None:
    if text:
        print(text.rstrip(), file=sys.stderr, flush=True)


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
