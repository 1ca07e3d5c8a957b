"""The first lines of the command, before anything is imported: its ends, and where it reads and writes."""

import os
import signal
import sys

INTERRUPTED = 130
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Run the command; exit 0 when all was fine, 1 when it failed, 2 for wrong use, 130 when interrupted."""
    for number in ENDINGS:
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup's
            signal.signal(number, _end_at_once)
    _open_what_is_closed()
    try:
        from moorage.cli.main import main as run

        run()
    finally:
        for number in ENDINGS:
            signal.signal(number, signal.SIG_IGN)  # how it ends is decided


def _end_at_once(_number: int, _frame: object) -> None:
    """Nothing has been begun that would have to be closed: whoever begins something has his own ways."""
    os._exit(INTERRUPTED)


def _open_what_is_closed() -> None:
    """`moorage demo >&-`: what is written there goes nowhere, and above all not into a socket of the same number."""
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, os.fdopen(descriptor, mode))


if __name__ == "__main__":
    main()
