"""Where output goes: people's text, and JSON apart from it."""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from moorage.domain.errors import Unavailable

GREEN, RED, DIM, BOLD = "32", "31", "2", "1"
NONE = "\u2013"  # a dash: nothing here, or not tried


class Output:
    """People's text goes to stdout, or to stderr when stdout carries JSON. Colour is for terminals without NO_COLOR."""

    def __init__(self, json_to: str | None, people: TextIO, *, is_coloured: bool) -> None:
        self._json_to = json_to
        self._people = people
        self._is_coloured = is_coloured
        self._began: float | None = None  # of the preparation whose line is not ended yet

    def say(self, text: str = "") -> None:
        self.end_line()
        self._write(text + "\n")

    def preparing(self, text: str) -> None:
        """A line that stays open while it is worked on; what comes next ends it with the time that it took."""
        self.end_line()
        self._write(f"  {text.rstrip(' .…')} …")
        self._began = time.monotonic()

    def end_line(self) -> None:
        if self._began is not None:
            took = time.monotonic() - self._began
            self._began = None
            self._write(self.style(f" {took:.1f} s", DIM) + "\n")

    def style(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._is_coloured else text

    def mark(self, ok: bool | None) -> str:
        """✓, ✗, or a dash for what could not be tried."""
        return self.style("✓", GREEN) if ok else NONE if ok is None else self.style("✗", RED)

    def give(self, data: Mapping[str, Any], *, is_secret: bool = False) -> None:
        """The JSON, if it was asked for; what is secret goes into a file for its owner alone."""
        if self._json_to is None:
            return
        text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
        try:
            if self._json_to == "-":
                sys.stdout.write(text)
                sys.stdout.flush()
            else:
                with open(self._json_to, "w", opener=_private if is_secret else None) as file:
                    file.write(text)
        except OSError as error:
            name = self._json_to
            if name == "-":
                name = "stdout"
                _silence(sys.stdout)
            elif Path(name).is_file():
                Path(name).unlink(missing_ok=True)  # half of it
            raise Unavailable(f"the result cannot be written to {name}: {error.strerror}") from error

    def _write(self, text: str) -> None:
        try:
            self._people.write(text)
            self._people.flush()
        except OSError:  # nobody reads, or the disk is full: what has been begun is ended in order all the same
            _silence(self._people)
        except UnicodeEncodeError:  # a terminal without UTF-8
            self._people.write(text.encode("ascii", "replace").decode())
            self._people.flush()


def _private(path: str, flags: int) -> int:
    opened = os.open(path, flags, 0o600)
    if os.path.isfile(path):
        os.fchmod(opened, 0o600)  # one that was there
    return opened


def _silence(stream: TextIO) -> None:
    """What is written from now on goes nowhere; what could not be written is not tried once more at Python's end."""
    with suppress(OSError, ValueError):  # it is no file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextmanager
def output(json_to: str | None = None) -> Iterator[Output]:
    people = sys.stderr if json_to == "-" else sys.stdout
    is_terminal = people.isatty() and os.environ.get("TERM") != "dumb"
    out = Output(json_to, people, is_coloured=is_terminal and not os.environ.get("NO_COLOR"))
    try:
        yield out
    finally:
        out.end_line()
