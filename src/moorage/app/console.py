"""`moorage console`: the terminal joined to a guest's serial console."""

import os
import select
import signal
import socket
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal

ESCAPE = b"\x1d"  # Ctrl-]
PIECE = 1 << 16  # bytes
WRITTEN_WITHIN = 5.0  # seconds that the guest may take to read what it was told

End = Literal["escaped", "closed", "quiet"]


def converse(stream: socket.socket, source: int, target: int, *, quiet_after: float = 1.0) -> End:
    """Carry what comes from `source` to the guest and its words to `target`; says why it ended.

    From a terminal: until Ctrl-], or the guest closes. From a file or a pipe: when all is read and the guest has said
    nothing for `quiet_after` seconds. The terminal is raw meanwhile, and as it was when this returns or raises.
    """
    stream.setblocking(True)
    stream.settimeout(WRITTEN_WITHIN)
    is_terminal = os.isatty(source)
    with _raw(source) if is_terminal else _as_it_is():
        return _carry(stream, source, target, is_terminal=is_terminal, quiet_after=quiet_after)


def _carry(stream: socket.socket, source: int, target: int, *, is_terminal: bool, quiet_after: float) -> End:
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    poll.register(source, select.POLLIN)
    quiet_since: float | None = None  # once `source` is read to its end
    while True:
        left = None if quiet_since is None else quiet_after - (time.monotonic() - quiet_since)
        if left is not None and left <= 0:
            return "quiet"
        for descriptor, _ in poll.poll(None if left is None else left * 1000):
            if descriptor == stream.fileno():
                said = stream.recv(PIECE)
                if not said:
                    return "closed"
                _write(target, said)
                quiet_since = None if quiet_since is None else time.monotonic()
                continue
            told = os.read(source, PIECE)
            if is_terminal and ESCAPE in told:
                stream.sendall(told[: told.index(ESCAPE)])
                return "escaped"
            if told:
                stream.sendall(told)
            else:
                poll.unregister(source)
                quiet_since = time.monotonic()


def _write(target: int, words: bytes) -> None:
    while words:
        words = words[os.write(target, words) :]


@contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """Every key goes through; put back whatever ends it, be it a signal."""
    before = termios.tcgetattr(terminal)
    endings = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    handlers = {number: signal.signal(number, _leave) for number in endings}
    try:
        tty.setraw(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
