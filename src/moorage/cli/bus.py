"""`moorage bus`: what the bus has set aside, and who may speak on it."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from moorage.cli.options import Bus, Json, State
from moorage.cli.output import DIM, Output, output

ALL = "all"
LONGEST = 500  # characters of a body that are shown to people
Letters = Annotated[list[str], typer.Argument(metavar="ID…|all")]


def dead(bus: Bus = None, state_dir: State = None, json: Json = None) -> None:
    """List the messages that no server could be made to handle: why, since when, and what they say."""
    from moorage.app.bus_tools import shown
    from moorage.app.interrupts import run

    with output(json) as out:
        letters = [shown(letter) for letter in run(_letters(bus, state_dir).list)]
        for letter in letters:
            _say(out, letter)
        if not letters:
            out.say("no dead letters")
        out.give({"dead_letters": letters})


def requeue(letters: Letters, bus: Bus = None, state_dir: State = None, json: Json = None) -> None:
    """Send dead letters to their queues once more. Exit 1 when one could not be."""
    _each(letters, "requeue", bus, state_dir, json)


def drop(letters: Letters, bus: Bus = None, state_dir: State = None, json: Json = None) -> None:
    """Forget dead letters. Exit 1 when one could not be."""
    _each(letters, "drop", bus, state_dir, json)


def permissions(
    host: Annotated[str, typer.Argument(help="The host's name.")],
    vhost: Annotated[str, typer.Option(metavar="NAME", help="The cloud's vhost on the broker.")] = "/",
    json: Json = None,
) -> None:
    """Print the rabbitmqctl lines that make a host's user, with all that it may do and no more.

    With --json the definitions for `rabbitmqctl import_definitions`, which give it a new password.
    """
    from moorage.app.bus_tools import host_user

    with output(json) as out:
        lines, definitions = host_user(host, vhost)
        for line in lines:
            out.say(line)
        out.give(definitions, is_secret=True)


def _each(ids: list[str], word: str, bus: str | None, state_dir: Any, json: str | None) -> None:
    from moorage.app.bus_tools import with_each
    from moorage.app.interrupts import run

    async def work() -> dict[str, str | None]:
        letters = _letters(bus, state_dir)
        chosen = [letter.id for letter in await letters.list(most=10_000)] if ids == [ALL] else ids
        act = letters.send_again if word == "requeue" else letters.drop
        return {letter: problem async for letter, problem in with_each(chosen, act)}

    with output(json) as out:
        outcome = run(work)
        for letter, problem in outcome.items():
            out.say(f"{out.mark(problem is None)} {letter}{'' if problem is None else f': {problem}'}")
        out.give({"letters": [{"id": letter, "problem": problem} for letter, problem in outcome.items()]})
    if any(outcome.values()):
        raise typer.Exit(1)


def _letters(bus: str | None, state_dir: Any) -> Any:
    from moorage.app.bus_tools import dead_letters_of
    from moorage.app.state import StateDir, default_state_dir

    return dead_letters_of(bus, StateDir((state_dir or default_state_dir()).absolute()).cloud)


def _say(out: Output, letter: Mapping[str, Any]) -> None:
    """What others have written is shown as one line, whatever is in it."""
    queue, message, why, body = (_printable(str(letter[name])) for name in ("queue", "message", "why", "body"))
    out.say(f"{letter['id']}  {letter['age_s']:.0f} s  {message} for {queue}, from {_printable(letter['sender'])}")
    out.say(f"  {why}")
    out.say(f"  {out.style(body[:LONGEST], DIM)}")


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text)
