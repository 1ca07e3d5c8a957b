"""Every datagram of a stream is counted."""

import socket
import time

import pytest

from moorage.app.stream import Stream


@pytest.mark.parametrize("is_heard", [True, False])
def test_what_does_not_arrive_is_lost(is_heard: bool) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        for end in (receiver, elsewhere):
            end.bind(("127.0.0.1", 0))
        sender.connect((receiver if is_heard else elsewhere).getsockname())
        stream = Stream(sender, receiver)
        stream.start()
        until = time.monotonic() + 10
        while stream.sent < 10 and time.monotonic() < until:
            time.sleep(0.001)
        stream.stop()
    assert stream.sent >= 10
    assert stream.arrived == (stream.sent if is_heard else 0)
