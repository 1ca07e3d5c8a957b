"""`moorage experiment`: a boot while its agent is silent."""

from typing import TYPE_CHECKING, Annotated

import typer

from moorage.app.config import LONGEST_TIMEOUT
from moorage.app.experiments import Experiment
from moorage.cli.options import Json, Kind, one_of
from moorage.cli.output import NONE, output

if TYPE_CHECKING:
    from moorage.app.demo import Shown
    from moorage.app.results import Step


def _experiment(text: str) -> Experiment:
    return one_of(Experiment, text)


def command(
    which: Annotated[
        Experiment,
        typer.Argument(
            parser=_experiment,
            metavar="EXPERIMENT",
            autocompletion=lambda: list(Experiment),
            help="normal: the agent is well; agent-down: not fatal; agent-down-fatal.",
        ),
    ],
    host_kind: Kind = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=LONGEST_TIMEOUT,
            metavar="SECONDS",
            help="vif_plugging_timeout, up to a day [5, for normal 300].",
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Boot a guest while its agent is stopped.

    In a cloud of its own; shows step by step what becomes of the server, its port and its address.
    """
    from moorage.app.experiment import experiment
    from moorage.app.private_cloud import Access
    from moorage.app.results import boot_json, with_steps
    from moorage.cli.hop_lines import hop_lines
    from moorage.cli.private import chosen_kind, private_settings, run_privately, say_left

    with output(json) as out:
        kind = chosen_kind(host_kind, out)
        limit = timeout if timeout is not None else which.usual_timeout
        settings = private_settings(kind, vif_plugging_timeout=limit, vif_plugging_is_fatal=which.is_fatal)
        steps: list[Step] = []

        def tell(step: "Step") -> None:
            steps.append(step)
            out.say(step_line(out.mark(step.ok), step, steps[0]))

        async def flow(access: Access) -> "Shown":
            fatal = "fatal" if which.is_fatal else "not fatal"
            out.say(f"{which.value}: vif_plugging_timeout {limit:g} s, {fatal}")
            shown = await experiment(access, which, tell)
            out.say()
            for line in hop_lines(shown.boot.hops, shown.held_ms):
                out.say(line)
            out.say()
            for line in conclusions(shown):
                out.say(f"  {line}")
            out.preparing("closing")
            return shown

        shown, nothing_left, left = run_privately(settings, out, flow)
        boot = with_steps(shown.boot, [nothing_left])
        say_left(out, left)
        out.give(boot_json(boot))
    if not boot.is_fine:
        raise typer.Exit(1)


def step_line(mark: str, step: "Step", first: "Step") -> str:
    """A step with the seconds since the first one."""
    if step.at is None or first.at is None:
        return f"  {mark} {NONE:>9}  {step.what}"
    return f"  {mark} {(step.at - first.at).total_seconds():>7.3f} s  {step.what}"


def conclusions(shown: "Shown") -> list[str]:
    """What the steps say together: how long the port and the address took once the agent was back; the fault."""
    from moorage.app.experiment import seconds_since

    boot = shown.boot
    lines = []
    for what in ("port ACTIVE", "address obtained"):
        seconds = seconds_since(boot, what, "agent started")
        if seconds is not None:
            lines.append(f"{what} {seconds:.2f} s after the agent was back")
    if boot.fault is not None:
        lines.append(f"fault: {boot.fault}")
    return lines
