"""`moorage down`: ends the cloud that runs in a state directory, or what a killed one has left alive there."""

import os
import signal
import time
from collections.abc import Callable

from moorage.app import runtime
from moorage.app.state import StateDir
from moorage.domain.errors import Conflict, Unavailable


def down(state: StateDir, say: Callable[[str], None] = lambda _: None, *, limit: float = 60.0) -> bool:
    """End it, guests and all; False when nothing ran. Raises Unavailable when it does not close within `limit` seconds.

    What the cloud has recorded stays.
    """
    running = state.running()
    if running is None:
        if state.is_held():
            raise Conflict(f"a cloud in {state.path} is just starting or closing: try again in a moment")
        return _end_what_lives_on(state, say)
    os.kill(running.pid, signal.SIGTERM)
    until = time.monotonic() + limit
    while state.is_held():
        if time.monotonic() >= until:
            raise Unavailable(f"pid {running.pid} has not closed within {limit:g} s; its log is {state.log}")
        time.sleep(0.02)
    return True


def _end_what_lives_on(state: StateDir, say: Callable[[str], None]) -> bool:
    if not runtime.is_lived_in(runtime.place_of(state.cloud)):
        return False
    from moorage.app.interrupts import run
    from moorage.app.leftover import end_leftover
    from moorage.app.logs import logging_to

    with state.held(), logging_to(state.log):
        return run(lambda: end_leftover(state.cloud, say))
