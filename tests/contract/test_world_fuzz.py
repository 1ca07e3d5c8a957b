"""The holder's protocol: whatever is said to it, it neither ends nor hangs, nor holds up the others."""

import os
import socket
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage.adapters.world import protocol
from moorage.adapters.world.protocol import AnyOperation, ListHosts, Reply, Request

PATIENCE = 1.0  # seconds, for the answer to a client that behaves
EXAMPLES = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)

_encode = msgspec.msgpack.Encoder().encode
_replies = msgspec.msgpack.Decoder(Reply)


@dataclass(frozen=True)
class Holder:
    """A holder that listens; `behaving` is a client that has been there from the start."""

    path: str
    process: subprocess.Popen[bytes]
    behaving: socket.socket

    def client(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.connect(self.path)  # waits while as many others as the holder keeps waiting come first
        client.settimeout(PATIENCE)
        return client

    def require_well(self) -> None:
        """It answers at once, on an old connection as on a new one."""
        assert self.process.poll() is None
        with self.client() as fresh:
            for client in (self.behaving, fresh):
                assert asked(client, ListHosts()).error is None


@pytest.fixture(scope="module")
def holder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Holder]:
    directory = tmp_path_factory.mktemp("world")
    path, log = directory / "holder", directory / "log"
    command = [sys.executable, "-m", "moorage.adapters.world.holder", f"--socket={path}"]
    with (
        log.open("wb") as said,
        subprocess.Popen(command, env={**os.environ, "PYTHONPATH": "src"}, stderr=said) as running,
    ):
        until = time.monotonic() + 10
        while not path.exists() and time.monotonic() < until:
            time.sleep(0.001)
        behaving = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        behaving.settimeout(PATIENCE)
        with behaving:
            behaving.connect(str(path))
            try:
                yield Holder(str(path), running, behaving)
            finally:
                running.terminate()
                running.wait(timeout=10)
    assert "Traceback" not in log.read_text()


def request(operation: object, *, call: int = 1, host: str = "host-1") -> bytes:
    return _encode(Request(call, host, msgspec.Raw(_encode(operation))))


def asked(client: socket.socket, operation: object, *, call: int = 1, host: str = "host-1") -> Reply:
    client.send(request(operation, call=call, host=host))
    reply = _replies.decode(client.recv(protocol.BIGGEST))
    assert reply.call == call
    return reply


def said(client: socket.socket, *messages: bytes) -> None:
    """Say it; to be cut off for it is fine."""
    with suppress(BrokenPipeError, ConnectionResetError):
        for message in messages:
            client.send(message)


@EXAMPLES
@given(messages=st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=5))
def test_noise_disturbs_nobody(holder: Holder, messages: list[bytes]) -> None:
    with holder.client() as client:
        said(client, *messages)
    holder.require_well()


NAMES = st.sampled_from(["", "a", "b", "host-1", "..", "a/b", "é", "a" * 65, "lo", "eth0", "\0"])
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.sampled_from([0, 1, 2, 3, 9, 15, 16, 17, 64, 68, 1500, 65535])
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats() | NAMES | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)


@EXAMPLES
@given(call=JUNK, host=JUNK, operation=JUNK, more=st.lists(JUNK, max_size=2))
def test_shapes_that_are_none_of_ours_disturb_nobody(
    holder: Holder, call: Any, host: Any, operation: Any, more: list[Any]
) -> None:
    with holder.client() as client:
        said(client, _encode([call, host, operation, *more]))
    holder.require_well()


Values = st.SearchStrategy[Any]
BOOLEANS: Values = st.booleans()


@st.composite
def mostly(draw: st.DrawFn, good: Values, *bad: Any) -> Any:
    """Or an operation with many fields would hardly ever be a good one."""
    if draw(st.integers(0, 15)):
        return draw(good)
    if bad and draw(BOOLEANS):
        return draw(st.sampled_from(bad))
    return draw(JUNK)


PROCESSES = st.sampled_from(["p", "q"])
DEVICES = st.sampled_from(["tap1", "tap2", "eth0", "lo"])
NAMESPACES = st.sampled_from(["", "n", "m"])
PROGRAMS = st.sampled_from(["true", "sleep", "/", "/no/such", "/dev/null"])
ADDRESSES = st.sampled_from(["10.0.0.1/24", "10.0.0.2/24", "999.0.0.1/24", "10.0.0.1/99", "0.0.0.0/0"])
LOGS = st.sampled_from([None, "/dev/null", "/dev/full", "/dev/tty", "/", "/proc/self/mem", "/no/log"])
MACS = st.sampled_from([None, "fa:16:3e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"])
VALUES: dict[str, Values] = {
    "name": mostly(PROCESSES, "..", "a/b", "a" * 65),
    "namespace": mostly(NAMESPACES, ".."),
    "source": mostly(NAMESPACES, ".."),
    "target": mostly(NAMESPACES, ".."),
    "device": mostly(DEVICES, "a" * 16, "%d", "all", ".."),
    "argv": mostly(st.tuples(PROGRAMS, st.just("1000")) | st.tuples(PROGRAMS), [], [""], ["\0"]),
    "log": mostly(LOGS, "log"),
    "environment": mostly(st.dictionaries(st.sampled_from(["A", "PATH", "LD_PRELOAD"]), NAMESPACES), {"A=B": ""}),
    "addresses": mostly(st.lists(ADDRESSES, max_size=3), ["x"]),
    "mac": mostly(MACS, "x"),
    "peer": mostly(st.sampled_from(["host-1", "host-2"]), ".."),
    "end": mostly(DEVICES, "a" * 16),
    "peer_device": mostly(DEVICES, "a" * 16),
    "mtu": mostly(st.sampled_from([68, 1500, 9000, 65535]), None, 0),
    "up": mostly(st.booleans()),
    "is_guest": mostly(st.booleans(), None),
    "family": mostly(st.sampled_from([2, 10, 16, 17]), 0, 1, 40, 64),
    "kind": mostly(st.integers(1, 10), 0, 11, 2049),
    "protocol": mostly(st.sampled_from([0, 1, 6, 17, 58, 255, 768]), 65536),
    "patience": mostly(st.sampled_from([0, 0.001, 300]), 301, -1, float("nan"), float("inf")),
    "number": mostly(st.integers(1, 64), 0, 65),
    "call": mostly(st.integers(0, 12)),
}
OF_KIND = {  # where the same word means another thing
    "make_namespace": {"name": mostly(st.sampled_from(["n", "m"]), "")},
    "remove_namespace": {"name": mostly(st.sampled_from(["n", "m"]), "")},
    "move_link": {"name": mostly(st.none() | DEVICES, "..")},
}


KINDS: tuple[type[msgspec.Struct], ...] = get_args(AnyOperation)


@st.composite
def operations(draw: st.DrawFn) -> dict[str, Any]:
    """Operations whose fields have, and sometimes have not, values that make sense."""
    kind = draw(st.sampled_from(KINDS))
    tag = str(kind.__struct_config__.tag)
    values = {**VALUES, **OF_KIND.get(tag, {})}
    return {"do": tag, **{name: draw(values[name]) for name in kind.__struct_fields__}}


HOSTS = mostly(st.sampled_from(["host-1", "host-2"]), "", "..", "h" * 65)


@EXAMPLES
@given(asking=st.lists(st.tuples(HOSTS, operations()), min_size=1, max_size=12))
def test_operations_in_any_order_are_answered_and_disturb_nobody(
    holder: Holder, asking: list[tuple[Any, dict[str, Any]]]
) -> None:
    asking = [(host if isinstance(host, str) else "", operation) for host, operation in asking]
    with holder.client() as client:
        said(client, *(request(operation, call=call, host=host) for call, (host, operation) in enumerate(asking)))
        later = {"wait", "stop", "remove_namespace", "forget"}  # when a process has ended, or never
        awaited = {call for call, (_, operation) in enumerate(asking) if operation["do"] not in later}
        while awaited:
            message, given_, _, _ = socket.recv_fds(client, protocol.BIGGEST, 4)
            for descriptor in given_:
                os.close(descriptor)
            assert message, "a client that keeps to the form was cut off"
            awaited.discard(_replies.decode(message).call)
    holder.require_well()


CUT = [request(ListHosts(), call=2)[:length] for length in (1, 2, 5)]
NESTED = b"\x91" * 100_000 + b"\xc0"


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"\x00", id="a number"),
        pytest.param(CUT[0], id="cut after 1"),
        pytest.param(CUT[1], id="cut after 2"),
        pytest.param(CUT[2], id="cut after 5"),
        pytest.param(NESTED, id="nested"),
        pytest.param(b"\x93\x01\xa1a" + NESTED, id="a nested operation"),
        pytest.param(b"\x93\x01\xa1a\x82\xa2do\xa5start\xa1b" + NESTED, id="a nested field"),
        pytest.param(b"\x93\x01\xa1\xff\x81\xa2do\xaalist_hosts", id="a host that is no UTF-8"),
        pytest.param(b"\x93\x01\xa1a\x81\xa2do\xa1\xff", id="an operation that is no UTF-8"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="four thousand millions of items"),
        pytest.param(request({"do": "list_hosts", "x" * 70_000: None}), id="a long key"),
        pytest.param(b"\x93\x01\xa1a" + b"\0" * 150_000, id="longer than a message may be"),
    ],
)
def test_what_once_ended_a_world_does_not(holder: Holder, message: bytes) -> None:
    with holder.client() as client:
        said(client, message)
    holder.require_well()


def test_descriptors_that_it_is_handed_are_not_kept(holder: Holder) -> None:
    [inner] = Path(f"/proc/{holder.process.pid}/task/{holder.process.pid}/children").read_text().split()
    before = len(os.listdir(f"/proc/{inner}/fd"))
    with holder.client() as client:
        for call in range(20):
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [0, 1]))]
            client.sendmsg([request(ListHosts(), call=call)], rights)
            client.recv(protocol.BIGGEST)
    holder.require_well()
    assert len(os.listdir(f"/proc/{inner}/fd")) < before + 10  # 40 were sent; a connection or two may still close


def test_a_client_that_does_not_read_holds_up_nobody(holder: Holder) -> None:
    with holder.client() as client:
        client.setblocking(False)
        with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            for call in range(100_000):
                client.send(request(ListHosts(), call=call))
        holder.require_well()
    holder.require_well()


def test_a_log_that_nobody_reads_is_refused(holder: Holder, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    start = {"do": "start", "name": "a", "argv": ["true"], "namespace": "", "log": str(tmp_path / "fifo")}
    with holder.client() as client:
        assert asked(client, {**start, "environment": {}}).error == "Invalid"
    holder.require_well()


def test_there_is_an_end_to_clients_and_namespaces(holder: Holder) -> None:
    clients = [holder.client() for _ in range(70)]
    try:
        assert clients[-1].recv(1) == b""  # cut off at once
        assert asked(holder.behaving, ListHosts()).error is None
    finally:
        for client in clients:
            client.close()
    with holder.client() as client:
        errors = {
            asked(client, {"do": "make_namespace", "name": f"n{number}"}, host="crowded").error
            for number in range(1026)
        }
    assert errors == {None, "Unavailable"}
    holder.require_well()
