"""The holder: one thread that makes namespaces, links, processes and sockets for its clients; the only privileged code.

Its privilege is root's or, when an ordinary user runs it, that of the root of a user namespace. It is PID 1 of a PID
namespace: when it ends, however it ends, the kernel kills every process of the world, and the network namespaces, which
only its descriptors and those processes hold, vanish. Its own network namespace is a new, empty one, so that no request
can reach the machine's own network. What is said on its socket is in docs/holder.md.
"""

import argparse
import os
import resource
import signal
import socket
import sys
import traceback
from contextlib import suppress
from typing import NoReturn

from moorage.adapters.world import entry, kernel, processes
from moorage.adapters.world.loop import Loop, answer_one
from moorage.domain.errors import Unavailable

_ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> int:
    """The outer process: makes the PID, mount and network namespaces, and waits for the holder in them to end."""
    parser = argparse.ArgumentParser(prog="moorage-holder", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--fd", type=int, help="a connected SOCK_SEQPACKET socket; the world ends when it closes")
    where.add_argument("--socket", help="a path to listen on; the world lives on until SIGTERM")
    parser.add_argument("--die-with-parent", type=int, metavar="PID", help="end when this process, the parent, ends")
    arguments = parser.parse_args()
    if arguments.die_with_parent is not None:
        kernel.die_with_parent()
        if os.getppid() != arguments.die_with_parent:
            return 1  # it had ended before
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)  # until there is something to end
    listens = arguments.socket is not None
    door = _listen(arguments.socket) if listens else socket.socket(fileno=arguments.fd)
    door.set_inheritable(False)
    door.setblocking(False)
    try:
        entry.leave_the_machine()
    except entry.Closed as closed:
        return _refuse(door, closed, arguments.socket)
    alive, kept_open = os.pipe()  # `alive` reads EOF when the outer process has ended
    inner = os.fork()
    if inner == 0:
        os.close(kept_open)
        _serve(door, alive, arguments.socket)
    door.close()
    os.close(alive)
    for number in _ENDINGS:
        signal.signal(number, lambda _number, _frame: os.kill(inner, signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDINGS)
    _, status = os.waitpid(inner, 0)  # returns when every process of the world is gone
    if listens:
        _remove(arguments.socket)
    return max(os.waitstatus_to_exitcode(status), 0)  # to be killed is how it ends


def _listen(path: str) -> socket.socket:
    """A socket that listens on `path`, which appears when it does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
        if other.connect_ex(path) == 0:
            raise FileExistsError(f"a holder listens on {path}")
    fresh = f"{path}.new"
    _remove(fresh)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mask = os.umask(0o177)  # for its owner alone
    try:
        door.bind(fresh)
    finally:
        os.umask(mask)
    door.listen(16)
    os.rename(fresh, path)  # in place of one that was left over from a holder that was killed
    return door


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _refuse(door: socket.socket, closed: entry.Closed, path: str | None) -> int:
    """Say why there will be no world: to the client that started us, in its first answer, else to whoever reads."""
    if path is not None:
        _remove(path)
        sys.stderr.write(f"a world cannot be made here: {closed}\n")
    else:
        answer_one(door, Unavailable(f"a world cannot be made here: {closed}"))
    return 1


def _serve(door: socket.socket, alive: int, path: str | None) -> NoReturn:
    status = 1
    try:
        kernel.die_with_parent()
        try:
            entry.mount_own_proc()
        except entry.Closed as closed:
            os._exit(_refuse(door, closed, path))
        os.environ["PATH"] = processes.search_path(os.environ.get("PATH", ""))
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        Loop(alive).run(door, listens=path is not None)
        status = 0
    except Exception:  # the top of the job: say why, and end, which ends the world
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
