"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from moorage.app.config import HostKind
from moorage.app.state import parse_listen
from moorage.domain.errors import Invalid


def _writable(value: str | None) -> str | None:
    if value is not None and value != "-" and not Path(value).absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {Path(value).absolute().parent}")
    return value


def _listen(value: str) -> str:
    try:
        parse_listen(value)
    except Invalid as error:
        raise typer.BadParameter(error.message) from error
    return value


Kind = Annotated[
    HostKind | None,
    typer.Option("--host-kind", help="What guests run on. Default: qemu where it can run, else simulated."),
]
Json = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE|-", callback=_writable, help="Write the result as JSON; - for stdout."),
]
State = Annotated[
    Path | None,
    typer.Option("--state-dir", metavar="DIR", help="Where the cloud keeps its state [$XDG_STATE_HOME/moorage]."),
]
OsCloud = Annotated[
    str | None,
    typer.Option("--os-cloud", metavar="NAME", help="An entry of clouds.yaml [OS_CLOUD, else the state directory's]."),
]
Listen = Annotated[str, typer.Option("--listen", metavar="ADDR:PORT", callback=_listen, help="Where the APIs listen.")]
