"""`moorage down`: ends the cloud that runs in a state directory, and waits until it has closed."""

import os
import signal
import time

from moorage.app.state import StateDir
from moorage.domain.errors import Conflict, Unavailable


def down(state: StateDir, *, limit: float = 60.0) -> bool:
    """End it; False when nothing ran. Raises Unavailable when it does not close within `limit` seconds."""
    running = state.running()
    if running is None:
        if state.is_held():
            raise Conflict(f"a cloud in {state.path} is just starting or closing: try again in a moment")
        return False
    os.kill(running.pid, signal.SIGTERM)
    until = time.monotonic() + limit
    while state.is_held():
        if time.monotonic() >= until:
            raise Unavailable(f"pid {running.pid} has not closed within {limit:g} s; its log is {state.log}")
        time.sleep(0.02)
    return True
