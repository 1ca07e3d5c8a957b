"""What is said on a running cloud's control socket: one msgpack datagram each way, and with the answer a socket."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

BIGGEST = 4096  # bytes of a message
SOCKET_NAME = "control"  # in the cloud's state directory, which only its owner may enter

ServerUuid = Annotated[str, Meta(pattern=r"\A[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")]
TcpPort = Annotated[int, Meta(ge=1, le=65535)]
ErrorName = Literal["Invalid", "NotFound", "Conflict", "Exhausted", "Unavailable"]


class Ask(Struct, frozen=True, forbid_unknown_fields=True, tag_field="ask"):
    """What is wanted; the answer is Given, with one socket, or Refused."""


class OpenPort(Ask, frozen=True, tag="open_port"):
    """A TCP connection to a port of a guest."""

    server: ServerUuid
    port: TcpPort


class OpenConsole(Ask, frozen=True, tag="open_console"):
    """A guest's serial console; it is the asker's until it closes this connection."""

    server: ServerUuid


class Answer(Struct, frozen=True, forbid_unknown_fields=True, tag_field="answer"):
    """What the cloud says."""


class Given(Answer, frozen=True, tag="given"):
    """A connected stream comes with this message."""


class Refused(Answer, frozen=True, tag="refused"):
    """One of the five errors."""

    error: ErrorName
    message: Annotated[str, Meta(max_length=1000)]


AnyAsk = OpenPort | OpenConsole
AnyAnswer = Given | Refused


def control_socket(state_dir: Path) -> Path:
    """Where the cloud that keeps its state there listens."""
    return state_dir / SOCKET_NAME


def short_path(directory: int) -> str:
    """The socket's path by way of an open directory: as a path it may be longer than the 107 bytes of unix(7)."""
    return f"/proc/self/fd/{directory}/{SOCKET_NAME}"
