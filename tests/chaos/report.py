"""What a run came to: a table for people, JSON for the rest. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.chaos.cells import Cell
from tests.chaos.evidence import Evidence
from tests.chaos.history import Judged

from moorage.domain.hops import HOPS
from moorage.domain.server import VmState


def violations(cells: Sequence[Cell], judged: Judged) -> list[str]:
    missed = [f"the kill of {cell.victim} at {cell.hop.value} fell elsewhere" for cell in cells if not cell.counted]
    lost = [
        f"no end of the boot in which {cell.victim} died at {cell.hop.value}" for cell in cells if cell.delay is None
    ]
    return [*judged.violations, *missed, *lost]


def as_json(seed: int, cells: Sequence[Cell], evidence: Evidence, judged: Judged) -> Mapping[str, Any]:
    ends = [evidence.servers[asked.server].life.vm for asked in evidence.asked if asked.server in evidence.servers]
    return {
        "seed": seed,
        "boots": len(evidence.asked),
        "active": ends.count(VmState.ACTIVE),
        "stopped": ends.count(VmState.STOPPED),
        "error": ends.count(VmState.ERROR),
        "deleted": ends.count(VmState.DELETED),
        "lost_boots": len(judged.lost_boots),
        "lost_events": len(judged.lost_events),
        "leaks": list(judged.leaks),
        "violations": violations(cells, judged),
        "table": [
            {
                "hop": cell.hop.value,
                "victim": cell.victim,
                "delay_s": None if cell.delay is None else round(cell.delay, 3),
                "restart_s": round(cell.restart, 3),
                "counted": cell.counted,
            }
            for cell in cells
        ],
    }


def table(cells: Sequence[Cell]) -> str:
    """Hop by victim: the delay that the death cost, in seconds, and how long the victim was away."""
    victims = list(dict.fromkeys(cell.victim for cell in cells))
    shown = {(cell.hop, cell.victim): _shown(cell) for cell in cells}
    width = max([len(victim) for victim in victims] + [12])
    lines = [" " * 8 + "".join(f"  {victim:>{width}}" for victim in victims)]
    for hop in HOPS:
        row = [shown.get((hop, victim), "") for victim in victims]
        if any(row):
            lines.append(f"{hop.value:<8}" + "".join(f"  {cell:>{width}}" for cell in row))
    return "\n".join(lines)


def _shown(cell: Cell) -> str:
    if cell.delay is None:
        return "lost"
    marks = ("" if cell.counted else "?") + ("!" if cell.is_slow else "")
    return f"{cell.delay:.2f} ({cell.restart:.2f}){marks}"
