"""What the holder does for each operation: the hosts of its world, their namespaces and processes."""

import os
import re
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sized
from dataclasses import dataclass, field

from moorage.adapters.world import processes, protocol
from moorage.adapters.world.links import NetworkNamespace
from moorage.adapters.world.machine import Machine, Who
from moorage.adapters.world.processes import Process
from moorage.adapters.world.protocol import Value
from moorage.domain.errors import Invalid, MoorageError, NotFound, Unavailable

_MOST_HOSTS = 1024
_MOST_OF_A_KIND = 1024  # namespaces, and processes, of each host
_MOST_ENDED = 1024  # exit codes kept for each host
_LONGEST_KILL = 5.0  # seconds until processes that were sent SIGKILL must be gone

Result = Value | socket.socket | MoorageError
Answer = Callable[[Result], None]
After = Callable[[float, Callable[[], None]], None]  # do this in so many seconds


@dataclass
class Host:
    """A host: a network namespace, those of its guests and servers, and processes in them, all under its own names."""

    root: NetworkNamespace
    namespaces: dict[str, NetworkNamespace] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)  # exit codes, the latest last

    def namespace(self, name: str) -> NetworkNamespace:
        """The one of that name, "" being the host's own. Raises NotFound."""
        if name == "":
            return self.root
        if name not in self.namespaces:
            raise NotFound(f"there is no namespace {name}")
        return self.namespaces[name]


class Hosts:
    """All hosts; one is made when it is first named."""

    def __init__(self, after: After, machine: Machine | None = None) -> None:
        """With `machine` there is one host, which is this machine itself."""
        self._after = after
        self._machine = machine
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._hosts: dict[str, Host] = {}
        self._owners: dict[int, tuple[Host, Process]] = {}  # by pid
        self._removals: set[_Removal] = set()

    def carry_out(
        self,
        host_name: str,
        operation: protocol.AnyOperation,
        caller: object,
        answer: Answer,
        who: Who | None = None,
    ) -> None:
        """Do it, and answer once: now, or after a process has ended. `caller` names the call for `forget`; `who` asks,
        on a machine."""
        if isinstance(operation, protocol.ListHosts):
            answer(sorted(self._hosts))
            return
        try:
            if self._machine is not None:
                self._machine.require_allowed(operation)
            host = self._host(host_name)
            match operation:
                case protocol.Wait():
                    self._wait(host, operation, caller, answer)
                case protocol.Stop():
                    self._stop(host, operation, caller, answer)
                case protocol.RemoveNamespace():
                    self._remove_namespace(host, operation, answer)
                case _:
                    answer(self._at_once(host, operation, who))
        except MoorageError as error:
            answer(error)
        except Exception as error:  # a bug, or no descriptors left: no reason to end a world full of guests
            traceback.print_exc(file=sys.stderr)
            answer(Unavailable(f"{type(operation).__name__} on host {host_name}: {error!r}"))

    def forget(self, caller: object) -> None:
        """A call is not waited for any more."""
        for _, process in self._owners.values():
            process.on_end.pop(caller, None)

    def reap(self) -> None:
        """Take note of the processes that have ended."""
        for pid, code in processes.reap(self._is_stopping):
            if pid in self._owners:
                host, process = self._owners.pop(pid)
                del host.processes[process.name]
                host.ended[process.name] = code
                if len(host.ended) > _MOST_ENDED:
                    del host.ended[next(iter(host.ended))]
                for tell in process.on_end.values():
                    tell(code)
        self._removals = {removal for removal in self._removals if not removal.is_done()}

    def _host(self, name: str) -> Host:
        if re.search(protocol.NAME, name) is None:
            raise Invalid(f"{name!r} is no name for a host")
        if name not in self._hosts:
            if self._machine is not None and self._hosts:
                raise Invalid(f"this machine is host {next(iter(self._hosts))}, and no other")
            if len(self._hosts) >= _MOST_HOSTS:
                raise Unavailable(f"this world has {_MOST_HOSTS} hosts already")
            is_new = self._machine is None
            self._hosts[name] = Host(self._new_namespace() if is_new else NetworkNamespace(self._home, is_new=False))
        return self._hosts[name]

    def _new_namespace(self) -> NetworkNamespace:
        try:
            return NetworkNamespace(self._home)
        except OSError as error:
            raise Unavailable(f"making a network namespace: {error}") from error

    def _is_stopping(self, pid: int) -> bool:
        return pid in self._owners and self._owners[pid][1].is_stopping

    def _at_once(self, host: Host, operation: protocol.AnyOperation, who: Who | None) -> Result:
        match operation:
            case protocol.MakeNamespace(name):
                if name not in host.namespaces:
                    _require_room(host.namespaces, "namespaces")
                    host.namespaces[name] = self._new_namespace()
                return None
            case protocol.ListNamespaces():
                return sorted(host.namespaces)
            case protocol.ListLinks(namespace):
                return sorted(host.namespace(namespace).links())
            case protocol.MakeTap(device, mtu):
                owner = self._machine.tap_owner(who) if self._machine is not None and who is not None else None
                host.root.make_tap(device, mtu, owner=owner)
                return None
            case protocol.RemoveLink(device, namespace):
                if namespace == "" or namespace in host.namespaces:
                    host.namespace(namespace).remove(device)
                return None
            case protocol.MoveLink():
                source, target = host.namespace(operation.source), host.namespace(operation.target)
                source.move(
                    operation.device,
                    target,
                    name=operation.name,
                    mac=operation.mac,
                    mtu=operation.mtu,
                    addresses=operation.addresses,
                    up=operation.up,
                )
                return None
            case protocol.MakeCable(device, namespace, end, mac, mtu):
                host.root.make_cable(device, host.namespace(namespace), end, mac=mac, mtu=mtu)
                return None
            case protocol.Connect(device, peer, peer_device, mtu):
                host.root.connect(device, self._host(peer).root, peer_device, mtu)
                return None
            case protocol.Start():
                return self._start(host, operation, who)
            case protocol.Signal(name, number):
                if name not in host.processes:
                    raise NotFound(f"there is no process {name}")
                os.kill(host.processes[name].pid, number)
                return None
            case protocol.ListProcesses():
                return {process.name: process.pid for process in host.processes.values()}
            case protocol.OpenSocket(namespace, family, kind, number):
                return host.namespace(namespace).open_socket(family, kind, number)
            case _:
                raise AssertionError(f"{operation} is answered elsewhere")

    def _start(self, host: Host, operation: protocol.Start, who: Who | None) -> int:
        self.reap()  # one that has just ended is not alive
        found = host.processes.get(operation.name)
        if found is not None:
            if found.is_stopping:
                raise Unavailable(f"process {operation.name} is being stopped")
            return found.pid
        _require_room(host.processes, "processes")
        process = self._spawn(host, operation, who)
        host.ended.pop(operation.name, None)
        host.processes[operation.name] = process
        self._owners[process.pid] = (host, process)
        return process.pid

    def _spawn(self, host: Host, operation: protocol.Start, who: Who | None) -> Process:
        argv, environment, inside = operation.argv, operation.environment, host.namespace(operation.namespace)
        if self._machine is None:
            return processes.spawn(operation.name, argv, operation.log, environment, inside)
        assert who is not None, "on a machine it is known who asks"
        command = self._machine.command(
            argv,
            {**processes.BASE, **environment},
            self._machine.runs_as(who, is_guest=operation.is_guest),
            in_namespace=operation.namespace != "",
        )
        return processes.spawn(operation.name, command, operation.log, {}, inside, opens_log=who.acting)

    def _wait(self, host: Host, operation: protocol.Wait, caller: object, answer: Answer) -> None:
        if operation.name in host.processes:
            host.processes[operation.name].on_end[caller] = answer
        elif operation.name in host.ended:
            answer(host.ended[operation.name])
        else:
            raise NotFound(f"there is no process {operation.name}")

    def _stop(self, host: Host, operation: protocol.Stop, caller: object, answer: Answer) -> None:
        process = host.processes.get(operation.name)
        if process is None:
            answer(None)
            return
        process.is_stopping = True
        process.on_end[caller] = lambda _code: answer(None)
        if operation.patience > 0:
            processes.kill_all(process, signal.SIGTERM)
            if operation.patience < process.patience:  # so that asking again and again piles up no timers
                process.patience = operation.patience
                self._after(operation.patience, lambda: self._kill(process))
        else:
            processes.kill_all(process, signal.SIGKILL)

    def _kill(self, process: Process) -> None:
        if process.pid in self._owners and self._owners[process.pid][1] is process:
            processes.kill_all(process, signal.SIGKILL)

    def _remove_namespace(self, host: Host, operation: protocol.RemoveNamespace, answer: Answer) -> None:
        namespace = host.namespaces.pop(operation.name, None)
        if namespace is None:
            answer(None)
            return
        removal = _Removal(operation.name, namespace, answer)
        if not removal.is_done():
            self._removals.add(removal)
            self._after(_LONGEST_KILL, removal.give_up)


def _require_room(made: Sized, what: str) -> None:
    if len(made) >= _MOST_OF_A_KIND:
        raise Unavailable(f"this host has {_MOST_OF_A_KIND} {what} already")


class _Removal:
    """A namespace that goes away: its processes are killed, again until none is left, then it is let go."""

    def __init__(self, name: str, namespace: NetworkNamespace, answer: Answer) -> None:
        self._name = name
        self._namespace = namespace
        self._answer = answer
        self._has_ended = False

    def is_done(self) -> bool:
        """Kill what is in it; True (and the caller has its answer) when there was nothing."""
        if self._has_ended:
            return True
        inhabitants = processes.inhabitants(self._namespace)
        for pid in inhabitants:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if not inhabitants:
            self._end(None)
        return self._has_ended

    def give_up(self) -> None:
        """Its time is over."""
        if not self._has_ended:
            self._end(Unavailable(f"a process in namespace {self._name} cannot be killed"))

    def _end(self, result: Result) -> None:
        self._has_ended = True
        self._namespace.close()
        self._answer(result)
