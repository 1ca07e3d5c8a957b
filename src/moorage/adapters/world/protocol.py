"""What is said on the holder's socket: one msgpack datagram a message, every size bounded by its type."""

from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct, field

VERSION = 2  # one more with each change that an older holder would not understand
BIGGEST = 131_072  # bytes of a message
MOST_CALLS = 4096  # under way on one connection

NAME = r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"
Name = Annotated[str, Meta(pattern=NAME)]
NamespaceName = Annotated[str, Meta(pattern=r"\A(?:[A-Za-z0-9][A-Za-z0-9._-]{0,63})?\Z")]  # "" is the host's own
Device = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,14}\Z")]
Mac = Annotated[str, Meta(pattern=r"\A[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}\Z")]
Cidr = Annotated[str, Meta(pattern=r"\A[0-9]{1,3}(?:\.[0-9]{1,3}){3}/[0-9]{1,2}\Z")]
Mtu = Annotated[int, Meta(ge=68, le=65535)]
Argument = Annotated[str, Meta(pattern=r"\A[^\0]*\Z", max_length=32_768)]
FilePath = Annotated[str, Meta(pattern=r"\A/[^\0]*\Z", max_length=1024)]
Variable = Annotated[str, Meta(pattern=r"\A[^=\0]{1,128}\Z")]
Text = Annotated[str, Meta(pattern=r"\A[^\0]*\Z", max_length=4096)]


class Operation(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do"):
    """Something that a client asks for; see seams/world.py for what each promises."""


class MakeNamespace(Operation, frozen=True, tag="make_namespace"):
    name: Name


class RemoveNamespace(Operation, frozen=True, tag="remove_namespace"):
    name: Name


class ListNamespaces(Operation, frozen=True, tag="list_namespaces"):
    pass


class ListLinks(Operation, frozen=True, tag="list_links"):
    namespace: NamespaceName


class MakeTap(Operation, frozen=True, tag="make_tap"):
    device: Device
    mtu: Mtu


class RemoveLink(Operation, frozen=True, tag="remove_link"):
    device: Device
    namespace: NamespaceName


class MoveLink(Operation, frozen=True, tag="move_link"):
    device: Device
    source: NamespaceName
    target: NamespaceName
    name: Device | None
    mac: Mac | None
    mtu: Mtu | None
    addresses: Annotated[tuple[Cidr, ...], Meta(max_length=64)]
    up: bool


class MakeCable(Operation, frozen=True, tag="make_cable"):
    device: Device
    namespace: Name
    end: Device  # its other end's name, inside
    mac: Mac  # of that end
    mtu: Mtu


class Connect(Operation, frozen=True, tag="connect"):
    device: Device
    peer: Name  # the other host
    peer_device: Device
    mtu: Mtu


class Start(Operation, frozen=True, tag="start"):
    name: Name
    argv: Annotated[tuple[Argument, ...], Meta(min_length=1, max_length=512)]
    namespace: NamespaceName
    log: FilePath | None
    environment: Annotated[dict[Variable, Text], Meta(max_length=256)]
    is_guest: bool = False


class Stop(Operation, frozen=True, tag="stop"):
    name: Name
    patience: Annotated[float, Meta(ge=0, le=300)]  # seconds


class Signal(Operation, frozen=True, tag="signal"):
    name: Name
    number: Annotated[int, Meta(ge=1, le=64)]


class Wait(Operation, frozen=True, tag="wait"):
    name: Name


class ListProcesses(Operation, frozen=True, tag="list_processes"):
    pass


class OpenSocket(Operation, frozen=True, tag="open_socket"):
    """Answered with the socket's descriptor beside the reply (SCM_RIGHTS)."""

    namespace: NamespaceName
    family: Annotated[int, Meta(ge=0, le=64)]
    kind: Annotated[int, Meta(ge=1, le=10)]
    protocol: Annotated[int, Meta(ge=0, le=65535)]


class ListHosts(Operation, frozen=True, tag="list_hosts"):
    """Those that have been named. Concerns no host, and makes none."""


class Forget(Operation, frozen=True, tag="forget"):
    """The caller waits no more for `call`. Has no reply."""

    call: int


AnyOperation = (
    MakeNamespace
    | RemoveNamespace
    | ListNamespaces
    | ListLinks
    | MakeTap
    | RemoveLink
    | MoveLink
    | MakeCable
    | Connect
    | Start
    | Stop
    | Signal
    | Wait
    | ListProcesses
    | OpenSocket
    | ListHosts
    | Forget
)

Value = int | list[str] | dict[str, int] | None
ErrorName = Literal["Invalid", "NotFound", "Conflict", "Unavailable"]


class Request(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    call: int
    host: str
    operation: Raw  # checked apart, like the host's name, so that a bad one can be answered


class Reply(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """`error` None: done, and `value` is the result."""

    call: int
    value: Value = None
    error: ErrorName | None = None
    message: str = field(default="")
