"""Whether a world can be made here, by making one: exits with 0, or prints what is closed, below it the cure, and 1."""

import os
import sys

from moorage.adapters.world import entry


def main() -> int:
    try:
        entry.leave_the_machine()
    except entry.Closed as closed:
        return _told(closed)
    inner = os.fork()
    if inner == 0:
        os._exit(_inside())
    _, status = os.waitpid(inner, 0)
    return os.waitstatus_to_exitcode(status)


def _inside() -> int:
    try:
        entry.mount_own_proc()
        entry.try_tap()
    except entry.Closed as closed:
        return _told(closed)
    return 0


def _told(closed: entry.Closed) -> int:
    sys.stdout.write(f"{closed.found}\n{closed.cure}\n")
    sys.stdout.flush()
    return 1


if __name__ == "__main__":
    sys.exit(main())
