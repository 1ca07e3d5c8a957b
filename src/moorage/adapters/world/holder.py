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
from typing import NoReturn

from moorage.adapters.world import entry, kernel, processes
from moorage.adapters.world.door import Door
from moorage.adapters.world.loop import Loop, answer_one
from moorage.adapters.world.machine import Machine, find_machine, user
from moorage.domain.errors import Unavailable

_ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> int:
    """The outer process: makes the PID, mount and network namespaces, and waits for the holder in them to end."""
    parser = argparse.ArgumentParser(prog="moorage-holder", description=__doc__)
    parser.add_argument("--fd", type=int, help="a connected SOCK_SEQPACKET socket; alone: the world ends with it")
    parser.add_argument("--socket", help="a path to listen on; the world lives on until SIGTERM, or until it is gone")
    parser.add_argument("--detach", action="store_true", help="go into the background")
    parser.add_argument("--machine", action="store_true", help="its one host is this machine itself (machine.py)")
    parser.add_argument("--group", type=int, metavar="GID", help="of a machine: whose members may come in")
    parser.add_argument("--guests", metavar="USER", help="of a machine: who guests run as")
    parser.add_argument("--die-with-parent", type=int, metavar="PID", help="end when this process, the parent, ends")
    arguments = parser.parse_args()
    if arguments.fd is None and arguments.socket is None:
        parser.error("--fd or --socket is needed")
    machine = None
    if arguments.machine:
        if os.geteuid() != 0 or arguments.socket is None or arguments.fd is not None:
            parser.error("the holder of a machine is root's, and listens on a path")
        os.umask(0o007)  # what guests make is for them and for compute, whose group they share
        try:
            machine = find_machine(None if arguments.guests is None else user(arguments.guests))
        except (KeyError, FileNotFoundError) as error:
            parser.error(str(error.args[0]))
    if arguments.die_with_parent is not None:
        kernel.die_with_parent()
        if os.getppid() != arguments.die_with_parent:
            return 1  # it had ended before
    if arguments.detach and os.fork() != 0:
        return 0
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)  # until there is something to end
    first = None if arguments.fd is None else _connected(arguments.fd)
    try:
        door = None if arguments.socket is None else Door(arguments.socket, arguments.group)
    except OSError as error:
        return _refuse(first, f"the holder cannot listen: {error}")
    try:
        if machine is None:
            entry.leave_the_machine()
        else:
            entry.keep_to_the_machine()
    except entry.Closed as closed:
        return _refuse(first, f"a world cannot be made here: {closed}", door)
    alive, kept_open = os.pipe()  # `alive` reads EOF when the outer process has ended
    inner = os.fork()
    if inner == 0:
        os.close(kept_open)
        _serve(first, door, alive, machine)
    for held in (first, door):
        if held is not None:
            held.close()
    os.close(alive)
    for number in _ENDINGS:
        signal.signal(number, lambda _number, _frame: os.kill(inner, signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDINGS)
    _, status = os.waitpid(inner, 0)  # returns when every process of the world is gone
    if door is not None:
        door.remove()
    return max(os.waitstatus_to_exitcode(status), 0)  # to be killed is how it ends


def _connected(descriptor: int) -> socket.socket:
    first = socket.socket(fileno=descriptor)
    first.set_inheritable(False)
    first.setblocking(False)
    return first


def _refuse(first: socket.socket | None, why: str, door: Door | None = None) -> int:
    """Say why there will be no world: to the client that started us, in its first answer, else to whoever reads."""
    if door is not None:
        door.remove()
    if first is not None:
        answer_one(first, Unavailable(why))
    else:
        sys.stderr.write(f"{why}\n")
    return 1


def _serve(first: socket.socket | None, door: Door | None, alive: int, machine: Machine | None) -> NoReturn:
    status = 1
    try:
        kernel.die_with_parent()
        try:
            entry.mount_own_proc()
        except entry.Closed as closed:
            os._exit(_refuse(first, f"a world cannot be made here: {closed}", door))
        os.environ["PATH"] = processes.search_path(os.environ.get("PATH", ""))
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        Loop(alive, machine).run(first, door)
        status = 0
    except Exception:  # the top of the job: say why, and end, which ends the world
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
