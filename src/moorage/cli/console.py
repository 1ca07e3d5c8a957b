"""`moorage console`: a guest's serial console."""

import sys
from typing import Annotated

import typer

from moorage.cli.options import OsCloud, State
from moorage.domain.errors import Unavailable


def command(
    server: Annotated[str, typer.Argument(help="Its name or id.")],
    quiet_after: Annotated[
        float, typer.Option(min=0.0, metavar="SECONDS", help="When stdin has ended: how long the guest may be silent.")
    ] = 1.0,
    os_cloud: OsCloud = None,
    state_dir: State = None,
) -> None:
    """Sit down at a guest's serial console; Ctrl-] leaves it.

    What comes from a file or a pipe is typed, and the command ends when the guest has fallen silent.
    """
    from moorage.app.console import converse
    from moorage.app.control_words import OpenConsole
    from moorage.app.interrupts import run
    from moorage.app.reaching import Way, ask, find_in

    async def open_console() -> Way:
        found = await find_in(os_cloud, state_dir, server)
        return await ask(found.door, OpenConsole(server=found.server))

    way = run(open_console)
    try:
        if sys.stdin.isatty():
            print(f"at the console of {server}; Ctrl-] leaves it", file=sys.stderr)
        ended = converse(way.stream, sys.stdin.fileno(), sys.stdout.fileno(), quiet_after=quiet_after)
    except OSError as error:
        raise Unavailable(f"the console of {server}: {error.strerror or error}") from error
    finally:
        way.close()
    if ended == "closed":
        raise Unavailable(f"the console of {server} was closed: the guest is off")
