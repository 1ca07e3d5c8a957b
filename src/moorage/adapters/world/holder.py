"""The holder: one thread that makes namespaces, links, processes and sockets for its clients; the only privileged code.

It is PID 1 of a PID namespace: when it ends, however it ends, the kernel kills every process of the world, and the
network namespaces, which only its descriptors and those processes hold, vanish. Its own network namespace is a new,
empty one, so that no request can reach the machine's own network.
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

from moorage.adapters.world import kernel
from moorage.adapters.world.loop import Loop

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
    kernel.unshare(kernel.CLONE_NEWPID | kernel.CLONE_NEWNS | kernel.CLONE_NEWNET)
    alive, kept_open = os.pipe()  # `alive` reads EOF when the outer process has ended
    inner = os.fork()
    if inner == 0:
        os.close(kept_open)
        _serve(door, alive, listens=listens)
    door.close()
    os.close(alive)
    for number in _ENDINGS:
        signal.signal(number, lambda _number, _frame: os.kill(inner, signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDINGS)
    os.waitpid(inner, 0)  # returns when every process of the world is gone
    if listens:
        os.unlink(arguments.socket)
    return 0


def _listen(path: str) -> socket.socket:
    """A socket that listens on `path`, which appears when it does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
        if other.connect_ex(path) == 0:
            raise FileExistsError(f"a holder listens on {path}")
    fresh = f"{path}.new"
    with suppress(FileNotFoundError):
        os.unlink(fresh)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mask = os.umask(0o177)  # for its owner alone
    try:
        door.bind(fresh)
    finally:
        os.umask(mask)
    door.listen(16)
    os.rename(fresh, path)  # in place of one that was left over from a holder that was killed
    return door


def _serve(door: socket.socket, alive: int, *, listens: bool) -> NoReturn:
    status = 1
    try:
        kernel.die_with_parent()
        kernel.mount_own_proc()
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        Loop(alive).run(door, listens=listens)
        status = 0
    except Exception:  # the top of the job: say why, and end, which ends the world
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
