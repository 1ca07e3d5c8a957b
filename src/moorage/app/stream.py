"""A stream of datagrams between two namespaces, every one counted; in threads of its own, so that nothing here delays
or hides a loss."""

import socket
import struct
import threading
import time
from contextlib import suppress

RATE = 250  # datagrams a second
LINGERING = 0.5  # seconds that the last ones may be under way
_NUMBER = struct.Struct("!Q")
_BUFFER = 4 << 20  # bytes: whoever counts may be late, the kernel keeps them


class Stream:
    """From `sender`, a connected datagram socket, to `receiver`: a context manager that sends meanwhile."""

    def __init__(self, sender: socket.socket, receiver: socket.socket) -> None:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._sender = sender
        self._receiver = receiver
        self._ends = threading.Event()
        self._arrived: set[int] = set()
        self._sending = threading.Thread(target=self._send, daemon=True)
        self._counting = threading.Thread(target=self._count, daemon=True)
        self.sent = 0

    @property
    def arrived(self) -> int:
        return len(self._arrived)

    def start(self) -> None:
        self._receiver.settimeout(LINGERING)
        self._counting.start()
        self._sending.start()

    def stop(self) -> None:
        """Returns when all that was sent has arrived, or can be taken for lost. It blocks."""
        self._ends.set()
        self._sending.join()
        self._counting.join()

    def _send(self) -> None:
        due = time.monotonic()
        while not self._ends.is_set():
            with suppress(OSError):  # what could not even be sent is lost too
                self._sender.send(_NUMBER.pack(self.sent))
            self.sent += 1
            due += 1 / RATE
            time.sleep(max(0.0, due - time.monotonic()))

    def _count(self) -> None:
        while True:
            try:
                self._arrived.add(_NUMBER.unpack(self._receiver.recv(_NUMBER.size))[0])
            except TimeoutError:
                if self._ends.is_set():
                    return
