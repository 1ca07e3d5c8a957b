"""`moorage down`: end the cloud that runs."""

from typing import Annotated

import typer

from moorage.cli.options import State
from moorage.cli.output import output


def command(
    purge: Annotated[bool, typer.Option("--purge", help="Delete its state too: servers, images, passwords.")] = False,
    state_dir: State = None,
) -> None:
    """End the cloud that `moorage up` has started, or what a killed one has left alive.

    Its guests are switched off; the next `moorage up` starts them again. Returns once it has closed.
    """
    from moorage.app.down import down
    from moorage.app.state import StateDir, default_state_dir

    state = StateDir((state_dir or default_state_dir()).absolute())
    with output() as out:
        out.say("the cloud has ended" if down(state, out.preparing) else f"nothing runs in {state.path}")
        if purge:
            state.purge()
            out.say(f"its state in {state.path} is deleted")
