"""The command's front door: its table of commands, and what a failure looks like to people."""

import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Never

import typer

from moorage.app import runtime
from moorage.app.causes import foreseen, only_cause, unforeseen
from moorage.app.private import sweep_all
from moorage.app.state import failure_log
from moorage.cli import (
    bench,
    bench_all,
    bench_restart,
    bench_storm,
    bus,
    cluster,
    config,
    console,
    db,
    demo,
    doctor,
    down,
    env,
    experiment,
    forward,
    serve,
    status,
    timeline,
    up,
)

FINE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="moorage",
    help="A small cloud that boots a virtual machine only when its network is proven ready.",
    epilog="Example: moorage demo",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: quick to make, and readable everywhere
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _say_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        print(f"moorage {version('moorage')}")
        raise typer.Exit


@app.callback()
def clear_the_way(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    sweep_all()  # what a killed demo, experiment or bench has left
    runtime.sweep()  # what a killed cloud has


for name, module, example in (
    ("up", up, "moorage up --host-kind simulated --hosts 3 --detach"),
    ("down", down, "moorage down --purge"),
    ("status", status, "moorage status --json -"),
    ("env", env, 'eval "$(moorage env)"'),
    ("doctor", doctor, "moorage doctor --host-kind qemu"),
    ("demo", demo, "moorage demo --host-kind simulated"),
    ("cluster", cluster, "moorage cluster --boots 3 --keep"),
    ("timeline", timeline, "moorage timeline hello"),
    ("forward", forward, "moorage forward hello 80 --listen 127.0.0.1:8080"),
    ("console", console, "moorage console hello"),
    ("serve", serve, "moorage serve network --config /etc/moorage/moorage.toml"),
    ("experiment", experiment, "moorage experiment agent-down --host-kind netns --timeout 5"),
):
    app.command(name, epilog=f"Example: {example}")(module.command)

buses = typer.Typer(no_args_is_help=True, help="Look after the bus.", epilog="Example: moorage bus dead")
bus_commands: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("dead", bus.dead, "moorage bus dead --json -"),
    ("requeue", bus.requeue, "moorage bus requeue all"),
    ("drop", bus.drop, "moorage bus drop 5f0c6c2e9d5b4f0f8f6f2d3c1b0a9e8d"),
    ("permissions", bus.permissions, "moorage bus permissions host-1 --vhost moorage"),
)
for name, act, example in bus_commands:
    buses.command(name, epilog=f"Example: {example}")(act)
app.add_typer(buses, name="bus")

benches = typer.Typer(no_args_is_help=True, help="Measure.", epilog="Example: moorage bench handshake --boots 20")
benches.command("handshake", epilog="Example: moorage bench handshake --host-kind netns --boots 50 --json -")(
    bench.command
)
benches.command("storm", epilog="Example: moorage bench storm --ports 150 --host-kind netns --json -")(
    bench_storm.command
)
benches.command("restart", epilog="Example: moorage bench restart --ports 150 --json -")(bench_restart.command)
benches.command("all", epilog="Example: moorage bench all --json figures.json")(bench_all.command)
app.add_typer(benches, name="bench")

configs = typer.Typer(
    no_args_is_help=True, help="Check and show settings.", epilog="Example: moorage config check FILE"
)
for name, act in (("check", config.check), ("show", config.show)):
    configs.command(name, epilog=f"Example: moorage config {name} /etc/moorage/moorage.toml")(act)
app.add_typer(configs, name="config")

databases = typer.Typer(no_args_is_help=True, help="Look after a PostgreSQL.", epilog="Example: moorage db upgrade")
databases.command("upgrade", epilog="Example: moorage db upgrade --database postgresql://moorage@db/moorage")(
    db.command
)
databases.callback()(lambda: None)  # without it a single command would be `db` itself
app.add_typer(databases, name="db")


def main() -> Never:
    """Run the command; exit 0 when all was fine, 1 when it failed, 2 for wrong use, 130 when interrupted."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        sys.exit(told(error))
    sys.exit(FINE)


def told(error: Exception) -> int:
    """Tell people of it in one line; the exit code for it. No trace is shown: it goes to a file, if it is of use."""
    cause = only_cause(error)
    if type(cause).__name__ == "Interrupted":  # its module would bring uvloop into every --help
        print("moorage: interrupted; everything is closed", file=sys.stderr)
        return INTERRUPTED
    said = foreseen(cause) or f"{unforeseen(cause)} ({_noted(error)})"
    print(f"moorage: {said}", file=sys.stderr)
    return FAILED


def _noted(error: Exception) -> str:
    path = failure_log()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("a") as file:
            traceback.print_exception(error, file=file)
    except OSError as problem:
        return f"its trace could not be written to {path}: {problem.strerror}"
    return f"the log is {path}"


if __name__ == "__main__":
    main()
