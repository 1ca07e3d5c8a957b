"""A word to systemd, where it has started us (sd_notify(3))."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


def notify(word: str, environ: Mapping[str, str] = os.environ) -> None:
    """READY=1, STOPPING=1; nothing where nobody listens."""
    place = environ.get("NOTIFY_SOCKET", "")
    if not place:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as way:
        way.connect("\0" + place[1:] if place.startswith("@") else place)  # "@": an abstract name
        way.send(word.encode())
