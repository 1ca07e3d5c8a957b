"""`moorage serve`: one process of a cloud that is spread over many."""

from pathlib import Path
from typing import Annotated

import typer

from moorage.app.serving.settings import Service


def command(
    what: Annotated[Service, typer.Argument(metavar="|".join(Service), help="Which of a cloud's processes.")],
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="Settings in TOML (docs/settings.md).")],
) -> None:
    """Run one process of a cloud, until SIGTERM or Ctrl-C.

    What it needs and is not there yet it waits for. Its log goes to stderr. Exit 0 when it was told to end.
    """
    from moorage.app.serving.run import run_service

    run_service(what, config)
