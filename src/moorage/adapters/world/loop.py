"""The holder's loop: one thread that reads requests, sends replies, notes what has ended and when time is up."""

import heapq
import selectors
import signal
import socket
import sys
import time
from array import array
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count

import msgspec

from moorage.adapters.world import protocol
from moorage.adapters.world.door import Door
from moorage.adapters.world.hosts import Hosts, Result
from moorage.adapters.world.machine import Machine, Who, peer
from moorage.adapters.world.protocol import Forget, Reply, Request
from moorage.domain.errors import Conflict, Invalid, MoorageError, NotFound

_MOST_REPLIES = 2 * protocol.MOST_CALLS  # queued for a client that does not read
_MOST_CLIENTS = 64
_FEW = 32  # requests taken from one client before the others have their turn
_LOOK_EVERY = 2.0  # seconds: whether the path to the door is still there
_FIRST_WORDS = 5.0  # seconds until the client that started us asks for something
# What decoding raises. RecursionError: the message is one bracket after another.
_NO_SENSE = (msgspec.MsgspecError, ValueError, RecursionError)

_requests = msgspec.msgpack.Decoder(Request)
_operations = msgspec.msgpack.Decoder[protocol.AnyOperation](protocol.AnyOperation)
_encoder = msgspec.msgpack.Encoder()


def answer_one(door: socket.socket, error: MoorageError) -> None:
    """Answer the first request that comes with an error: there will be no loop."""
    with suppress(OSError, *_NO_SENSE):
        door.settimeout(_FIRST_WORDS)
        request = _requests.decode(door.recv(protocol.BIGGEST))
        door.send(_encoder.encode(Reply(request.call, error="Unavailable", message=error.message)))


class Loop:
    """Everything that the holder waits for."""

    def __init__(self, alive: int, machine: Machine | None = None) -> None:
        """`alive` is a descriptor that becomes readable (EOF) when the world shall end; `machine` is its one host."""
        self._machine = machine
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._ends = False
        self._clients = 0
        self._hosts = Hosts(self._after, machine)
        self._watch(alive, self._end)
        children, told = socket.socketpair()
        children.setblocking(False)
        told.setblocking(False)
        self._children = children, told
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
        self._watch(children.fileno(), self._child_has_ended)

    def run(self, first: socket.socket | None, door: Door | None) -> None:
        """Serve until the outer process ends, or nobody is here and nobody can come: the only client has left, or the
        path to the door is gone."""
        if first is not None:
            self._clients += 1
            _Client(first, self._selector, self._hosts, self._has_left if door else self._end)
        if door is not None:
            self._watch(door.fileno(), lambda: self._accept(door))
            self._look_at(door)
        while True:
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now:
                heapq.heappop(self._timers)[2]()
            if self._ends:
                return
            pause = self._timers[0][0] - now if self._timers else None
            for key, _ in self._selector.select(None if pause is None else max(pause, 0.0)):
                key.data()

    def _watch(self, descriptor: int, act: Callable[[], None]) -> None:
        self._selector.register(descriptor, selectors.EVENT_READ, act)

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), act))

    def _end(self) -> None:
        self._ends = True

    def _child_has_ended(self) -> None:
        self._children[0].recv(4096)
        self._hosts.reap()

    def _look_at(self, door: Door) -> None:
        if self._clients == 0 and not door.is_there():
            self._end()
        self._after(_LOOK_EVERY, lambda: self._look_at(door))

    def _accept(self, door: Door) -> None:
        client = door.accept()
        if client is None:
            return
        if self._clients == _MOST_CLIENTS:
            client.close()
            return
        self._clients += 1
        try:
            who = None if self._machine is None else peer(client)
        except OSError:  # it was gone already
            client.close()
            self._has_left()
            return
        _Client(client, self._selector, self._hosts, self._has_left, who)

    def _has_left(self) -> None:
        self._clients -= 1


class _Client:
    """One connection: requests in, replies out in the order in which they become known."""

    def __init__(
        self,
        connection: socket.socket,
        selector: selectors.BaseSelector,
        hosts: Hosts,
        on_gone: Callable[[], None],
        who: Who | None = None,
    ) -> None:
        self._who = who
        self._connection = connection
        self._selector = selector
        self._hosts = hosts
        self._on_gone = on_gone
        self._waiting: set[int] = set()  # calls not answered yet
        self._replies: deque[tuple[bytes, socket.socket | None]] = deque()
        self._is_gone = False
        selector.register(connection, selectors.EVENT_READ, self._turn)

    def _turn(self) -> None:
        self._write()
        for _ in range(_FEW):
            if self._is_gone or self._replies:  # one that does not read is not read
                return
            try:
                message = self._connection.recv(protocol.BIGGEST)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                self._close()
                return
            self._take(message)

    def _take(self, message: bytes) -> None:
        try:
            request = _requests.decode(message)
        except _NO_SENSE as error:
            sys.stderr.write(f"a client of the holder does not speak its protocol: {error}\n")
            self._close()
            return
        call = request.call
        try:
            operation = _operations.decode(request.operation)
        except _NO_SENSE as error:
            self._answer(call, Invalid(str(error)))
            return
        if isinstance(operation, Forget):
            self._waiting.discard(operation.call)
            self._hosts.forget((id(self), operation.call))
        elif call in self._waiting or len(self._waiting) >= protocol.MOST_CALLS:
            self._close()  # our own client does neither
        else:
            self._waiting.add(call)
            call_of = (id(self), call)
            self._hosts.carry_out(
                request.host, operation, call_of, lambda result: self._answer(call, result), self._who
            )

    def _answer(self, call: int, result: Result) -> None:
        self._waiting.discard(call)
        given = None
        if isinstance(result, MoorageError):
            name: protocol.ErrorName = "Unavailable"
            if isinstance(result, Invalid):
                name = "Invalid"
            elif isinstance(result, NotFound):
                name = "NotFound"
            elif isinstance(result, Conflict):
                name = "Conflict"
            reply = Reply(call, error=name, message=result.message[:4096])
        elif isinstance(result, socket.socket):
            reply, given = Reply(call), result
        else:
            reply = Reply(call, result)
        if self._is_gone or len(self._replies) >= _MOST_REPLIES:
            if given is not None:
                given.close()
            self._close()
            return
        message = _encoder.encode(reply)
        if len(message) > protocol.BIGGEST:
            message = _encoder.encode(Reply(call, error="Unavailable", message="the answer is too long for a message"))
        self._replies.append((message, given))
        self._write()

    def _write(self) -> None:
        while self._replies and not self._is_gone:
            message, given = self._replies[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [given.fileno()]))] if given else []
            try:
                self._connection.sendmsg([message], rights)
            except BlockingIOError:
                break
            except OSError:
                self._close()
                return
            self._replies.popleft()
            if given is not None:
                given.close()
        if not self._is_gone:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._replies else 0)
            if self._selector.get_key(self._connection).events != events:
                self._selector.modify(self._connection, events, self._turn)

    def _close(self) -> None:
        if self._is_gone:
            return
        self._is_gone = True
        for call in self._waiting:
            self._hosts.forget((id(self), call))
        self._waiting.clear()
        for _, given in self._replies:
            if given is not None:
                given.close()
        self._selector.unregister(self._connection)
        self._connection.close()
        self._on_gone()
