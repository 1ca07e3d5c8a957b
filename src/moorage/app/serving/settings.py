"""Typed settings of the processes of a cloud, each with its meaning: `moorage serve WHAT --config FILE` reads them."""

import socket
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from moorage.app.config import LONGEST_TIMEOUT, HostKind, LogFormat

HOST_NAME = r"\A[A-Za-z0-9][A-Za-z0-9._-]*\Z"


class Service(StrEnum):
    """What `moorage serve` can be told to be; its table in the file has the same name."""

    IDENTITY = "identity"
    IMAGE = "image"
    COMPUTE_API = "compute-api"
    NETWORK = "network"
    COMPUTE = "compute"
    AGENT = "agent"
    HOLDER = "holder"


class PasswordSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a password is read from: a file, or a variable of the environment."""

    password_file: Annotated[Path | None, Meta(description="A file with the password, which nobody else may read.")] = (
        None
    )
    password_env: Annotated[str | None, Meta(description="Or the environment's variable that holds it.")] = None


class UsersSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The users that a cloud begins with, each with its password. Identity makes them at its first start, and needs
    all but `demo`; compute API and hosts' compute log in as `nova`, the network as `neutron`, images as `glance`."""

    admin: PasswordSettings | None = None
    demo: PasswordSettings | None = None
    nova: PasswordSettings | None = None
    neutron: PasswordSettings | None = None
    glance: PasswordSettings | None = None


class EndpointsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the services are reached: scheme, host and port of each, without a path. Behind one proxy all are alike."""

    identity: Annotated[str, Meta(description="Answers at /identity there.")]
    image: Annotated[str, Meta(description="Answers at /image.")]
    compute: Annotated[str, Meta(description="Compute API and the timeline answer at /compute and /timeline.")]
    network: Annotated[str, Meta(description="Answers at /network.")]


class TlsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Encryption of what this file's processes serve and call."""

    cert_file: Annotated[
        Path | None, Meta(description="The APIs' certificate, with what leads to its authority; none: plain HTTP.")
    ] = None
    key_file: Annotated[Path | None, Meta(description="The certificate's key.")] = None
    ca_file: Annotated[
        Path | None, Meta(description="The authorities that are trusted when calling; none: the system's.")
    ] = None


class BusSettings(PasswordSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The message bus between services and hosts."""

    url: Annotated[
        str,
        Meta(description="`amqp://USER@ADDRESS[:PORT]/VHOST` of RabbitMQ, `amqps://` for TLS; the vhost `/` is `%2F`."),
    ]


class DatabaseSettings(PasswordSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where services keep their tables. Each has its own: a file of SQLite, or a schema of PostgreSQL."""

    url: Annotated[
        str, Meta(description="`postgresql://USER@HOST/NAME`, with libpq's parameters, or `sqlite:DIRECTORY`.")
    ]
    is_durable: Annotated[
        bool, Meta(description="SQLite: whether what was committed survives a power cut, and not only a SIGKILL.")
    ] = True


class ApiSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A process with an API."""

    listen: Annotated[str, Meta(description="`ADDR:PORT` to listen on.")]
    reuse_port: Annotated[
        bool, Meta(description="Whether other processes of this service may listen there too, and share what comes.")
    ] = False
    grace: Annotated[
        float, Meta(ge=0.0, le=300.0, description="Seconds that requests under way get when it is told to stop.")
    ] = 10.0
    database: Annotated[DatabaseSettings | None, Meta(description="In place of `[database]`.")] = None


class IdentitySettings(ApiSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tokens and the catalog."""

    token_key_file: Annotated[
        Path,
        Meta(description="The key that signs tokens, Ed25519 in PEM; made at first start; one for all."),
    ]


class ImageSettings(ApiSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Images."""

    directory: Annotated[Path, Meta(description="Where the images' data is kept; the same for all of several.")]


class ComputeApiSettings(ApiSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Servers, and the timeline of their boots."""


class NetworkSettings(ApiSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Networks, and the word to compute when a port is ready."""


class Datapath(StrEnum):
    SYSTEM = "system"  # the kernel's
    NETDEV = "netdev"  # in ovs-vswitchd itself


class Acceleration(StrEnum):
    AUTO = "auto"  # KVM where it really boots a guest, which is tried once for each boot of the machine
    KVM = "kvm"
    TCG = "tcg"


class SwitchSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The machine's Open vSwitch."""

    database: Annotated[str, Meta(description="`unix:PATH` or `tcp:ADDR:PORT` of its database.")] = (
        "unix:/run/openvswitch/db.sock"
    )
    directory: Annotated[Path, Meta(description="Where bridges' management sockets are, `BRIDGE.mgmt`.")] = Path(
        "/run/openvswitch"
    )
    bridge: Annotated[str, Meta(description="The bridge that is Moorage's alone; it is made if need be.")] = "br-int"
    datapath: Annotated[Datapath, Meta(description="Who carries packets: the kernel, or ovs-vswitchd itself.")] = (
        Datapath.SYSTEM
    )


class HostSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A host's compute and agent, alike for both: what they must agree on."""

    holder: Annotated[Path, Meta(description="The socket of the holder, which does what takes privileges.")]
    name: Annotated[
        str,
        Meta(
            min_length=1, max_length=63, pattern=HOST_NAME, description="Its name in the cloud; none: this machine's."
        ),
    ] = msgspec.field(default_factory=socket.gethostname)
    switch: SwitchSettings = SwitchSettings()


_AdminListen = Annotated[
    str | None, Meta(description="`ADDR:PORT` for `/healthz`, `/readyz` and `/metrics`; none: nobody can ask.")
]


class ComputeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Guests of a host."""

    state_dir: Annotated[Path, Meta(description="What it keeps: disks, images. Its own user's.")]
    run_dir: Annotated[Path, Meta(description="Where sockets into guests are made; a short path. Its own user's.")]
    kind: Annotated[HostKind, Meta(description='What guests run on: `"qemu"` or `"netns"`.')] = HostKind.QEMU
    admin_listen: _AdminListen = None
    vif_plugging_timeout: Annotated[
        float,
        Meta(
            ge=0.0,
            le=LONGEST_TIMEOUT,
            description="Seconds that a boot waits for its ports, wall-clock, from the first plug; 0: it never waits.",
        ),
    ] = 300.0
    vif_plugging_is_fatal: Annotated[
        bool, Meta(description="Whether a boot fails when its ports are not ready in time; if not, the guest runs.")
    ] = True
    acceleration: Annotated[Acceleration, Meta(description="What runs QEMU's guests.")] = Acceleration.AUTO


class AgentSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ports of a host wired, and its DHCP servers."""

    state_dir: Annotated[Path, Meta(description="What it keeps: DHCP servers' settings and leases. Its own user's.")]
    admin_listen: _AdminListen = None


class HolderSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The only process of a host that is root's: it makes links, namespaces and processes for compute and agent, and
    lends them no privilege (docs/holder.md). Guests and DHCP servers end with it."""

    group: Annotated[str, Meta(description="Whose members may speak to it: compute's and the agent's users.")]
    guests: Annotated[
        str | None, Meta(description="The user that QEMU's guests run as, apart from compute; none: as compute.")
    ] = None


class ServeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file may be for all processes of a machine: each reads its own table, and those that they share."""

    endpoints: EndpointsSettings
    public_endpoints: Annotated[
        EndpointsSettings | None, Meta(description="Where clients reach them, for the catalog, if it is elsewhere.")
    ] = None
    users: UsersSettings = UsersSettings()
    tls: TlsSettings = TlsSettings()
    bus: BusSettings | None = None
    database: DatabaseSettings | None = None
    identity: IdentitySettings | None = None
    image: ImageSettings | None = None
    compute_api: ComputeApiSettings | None = msgspec.field(name="compute-api", default=None)
    network: NetworkSettings | None = None
    host: HostSettings | None = None
    compute: ComputeSettings | None = None
    agent: AgentSettings | None = None
    holder: HolderSettings | None = None
    log_format: Annotated[LogFormat, Meta(description="How lines look on stderr.")] = LogFormat.JSON
