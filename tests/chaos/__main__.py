"""`script/chaos`: the sweep, the schedule, the verdict."""

import argparse
import asyncio
import sys

from tests.chaos.history import judged
from tests.chaos.run import a_run
from tests.chaos.sweep import ALL, Cell, sweep

from moorage.domain.hops import Hop


def say(cell: Cell) -> None:
    cost = "lost" if cell.delay is None else f"{cell.delay:.2f}"
    print(
        f"{cell.hop.value:>8} {cell.victim:<18} cost {cost:>6} restart {cell.restart:.2f} counted {cell.counted}",
        flush=True,
    )


async def run(args: argparse.Namespace) -> int:
    cells = ALL
    if args.cells:
        cells = [(Hop(word.split("@")[1]), word.split("@")[0]) for word in args.cells.split(",")]
    async with a_run() as found:
        await sweep(found, cells, say)
        evidence = await found.evidence()
        verdict = judged(evidence)
        for what in verdict.violations:
            print("VIOLATION", what)
        return 1 if verdict.violations else 0


parser = argparse.ArgumentParser()
parser.add_argument("--cells")
sys.exit(asyncio.run(run(parser.parse_args())))
