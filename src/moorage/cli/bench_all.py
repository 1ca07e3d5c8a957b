"""`moorage bench all`: every figure in one table."""

from typing import TYPE_CHECKING, Annotated

import typer

from moorage.cli.options import Json
from moorage.cli.output import NONE, Output, output

if TYPE_CHECKING:
    from moorage.app.figures import Figure


def command(
    short: Annotated[bool, typer.Option("--short", help="A few of each: to see that it works, not how fast.")] = False,
    json: Json = None,
) -> None:
    """Measure everything, and print one table: each figure with its goal, its floor, and a real OpenStack's.

    A floor is what the parts beneath take by themselves, in the same run: Open vSwitch's for a handshake, the same
    request's while nobody logs in.
    """
    from moorage.app.bench_all import SHORT, Sizes, all_json, bench_all
    from moorage.app.interrupts import run

    with output(json) as out:
        found = run(lambda: bench_all(SHORT if short else Sizes(), out.preparing), dies_with_parent=True)
        out.say()
        out.say(f"  {'':<46}{'measured':>14}  {'goal':>12}  {'floor':>10}  a real OpenStack")
        for figure in found.figures:
            out.say(figure_line(figure, out))
        load, after = found.machine["load_before"], found.machine["load_after"]
        out.say(f"\n  {found.machine['cores']} cores; load {load[0]} before, {after[0]} after (1 minute's average)")
        out.give(all_json(found))


def figure_line(figure: "Figure", out: Output) -> str:
    if figure.measured is None:
        return f"{NONE} {figure.name:<46}{NONE:>14}  {figure.why}".rstrip()
    unit = "" if figure.unit.startswith("of ") else figure.unit
    measured = f"{figure.measured:,g} {figure.unit}".strip()
    goal = "" if figure.goal is None else f"{'≥' if figure.is_least else '≤'} {figure.goal:,g} {unit}".strip()
    floor = "" if figure.floor is None else f"{figure.floor:,.1f} {unit}".strip()
    mark = " " if figure.is_met is None else out.mark(figure.is_met)
    return f"{mark} {figure.name:<46}{measured:>14}  {goal:>12}  {floor:>10}  {figure.openstack}".rstrip()
