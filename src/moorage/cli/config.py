"""`moorage config`: a settings file of `moorage serve`, checked and shown."""

import json as json_words
from pathlib import Path
from typing import Annotated

import typer

from moorage.cli.options import Json
from moorage.cli.output import DIM, output

File = Annotated[Path, typer.Argument(metavar="FILE", help="Settings in TOML (docs/settings.md).")]


def check(file: File, json: Json = None) -> None:
    """Name everything that is wrong with a file of `moorage serve`, with its cure.

    Exit 1 when something is. Nobody is called: whether database, bus and services answer, `moorage serve` says.
    """
    from moorage.app.serving.checking import services_in, wrong_in
    from moorage.app.serving.reading import read_file

    said = read_file(file)
    services = services_in(said)
    wrong = wrong_in(said, services)
    with output(json) as out:
        for one in wrong:
            out.say(f"{out.mark(False)} {one}")
        if not wrong:
            out.say(f"{out.mark(True)} {file} is fine for {', '.join(services) or 'nothing: it has no table of any'}")
        listed = [{"name": one.name, "what": one.what, "cure": one.cure} for one in wrong]
        out.give({"file": str(file), "services": services, "wrong": listed})
    if wrong:
        raise typer.Exit(1)


def show(file: File, json: Json = None) -> None:
    """Show the settings that hold, and where each came from. Secrets are hidden."""
    from moorage.app.serving.reading import read_file
    from moorage.app.serving.showing import shown
    from moorage.domain.errors import Invalid

    said = read_file(file)
    if said.wrong:
        raise Invalid(f"{file}: {'; '.join(map(str, said.wrong))}")
    found = shown(said)
    with output(json) as out:
        table = None
        for one in found:
            before, _, name = one.name.rpartition(".")
            if before != table:
                table = before
                if before:
                    out.say(f"\n[{before}]")
            line = f"{name} = {json_words.dumps(one.value)}"
            out.say(f"{line:<60} {out.style(f'# {one.source}', DIM)}")
        out.give({"settings": [{"name": one.name, "value": one.value, "source": one.source} for one in found]})
