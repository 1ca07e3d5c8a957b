"""`script/chaos`: every part killed at every hop of a boot, then a seeded schedule of many deaths, then the verdict."""

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.cells import ALL, SHORT, VICTIMS, Cell
from tests.chaos.history import judged
from tests.chaos.plan import plan
from tests.chaos.report import as_json, table, violations
from tests.chaos.run import a_run
from tests.chaos.schedule import Schedule
from tests.chaos.sweep import UNHURT, sweep

from moorage.app.logs import logging_to
from moorage.domain.hops import Hop

BOOTS, FEW_BOOTS = 60, 4


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="of the random schedule; none: a new one, which is told")
    parser.add_argument("--boots", type=int, default=None, help=f"servers of the random schedule (default {BOOTS})")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="where the result is written")
    parser.add_argument("--short", action="store_true", help="a few cells and boots only")
    parser.add_argument("--logs", type=Path, default=None, metavar="DIR", help="where the processes' logs are copied")
    parser.add_argument(
        "--cell",
        action="append",
        type=_cell,
        metavar="VICTIM@HOP",
        help="only this cell of the sweep; may be repeated. Victims: " + ", ".join(VICTIMS),
    )
    return parser.parse_args(words)


def _cell(word: str) -> tuple[Hop, str]:
    victim, _, hop = word.rpartition("@")
    if victim not in VICTIMS or hop not in set(Hop):
        raise argparse.ArgumentTypeError(f"{word!r} is no VICTIM@HOP")
    return Hop(hop), victim


def say(cell: Cell) -> None:
    cost = "lost" if cell.delay is None else f"{cell.delay:.2f} s"
    missed = "" if cell.counted else "; the kill fell elsewhere"
    print(f"{cell.victim} killed at {cell.hop.value}: {cost}, away {cell.restart:.2f} s{missed}", flush=True)


async def chaos(options: argparse.Namespace) -> int:
    """The exit code: 1 when anything was not as it must be."""
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    boots = options.boots if options.boots is not None else FEW_BOOTS if options.short else BOOTS
    cells = options.cell or (SHORT if options.short else ALL)
    print(f"seed {seed}", flush=True)
    async with a_run() as run:
        done = await sweep(run, cells, say, unhurt=1 if options.short else UNHURT)
        if boots:
            schedule = plan(seed, boots)
            print(f"{boots} servers live among {len(schedule.deaths)} deaths", flush=True)
            await Schedule(run, schedule).go()
        evidence = await run.evidence()
        if options.logs is not None:
            shutil.copytree(run.cluster.built.layout.folder("log"), options.logs, dirs_exist_ok=True)
    verdict = judged(evidence)
    found = as_json(seed, done, evidence, verdict)
    print(table(done))
    words = ("boots", "active", "stopped", "error", "deleted", "lost_boots", "lost_events")
    print(", ".join(f"{word.replace('_', ' ')} {found[word]}" for word in words))
    for what in violations(done, verdict):
        print(f"violation: {what}")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 1 if violations(done, verdict) else 0


def main() -> int:
    options = arguments(sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder, logging_to(Path(folder, "chaos.log")):
        return asyncio.run(chaos(options))


if __name__ == "__main__":
    sys.exit(main())
