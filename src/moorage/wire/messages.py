"""The messages on the bus: compute API and hosts, network and agents. One tagged struct each."""

import hashlib
from datetime import datetime
from typing import Any

import msgspec

from moorage.domain.events import EventName, EventStatus
from moorage.domain.server import NicInfo, Server


class _Base(msgspec.Struct, kw_only=True, tag=True):
    """Every message has its own tag, its class name."""


# ---- compute API -> host: queue "compute.<host>"


class DoJob(_Base):
    """Look at this server's record and do what is unfinished (boot, stop, start, pause, delete, …)."""

    server: str


class HostEvent(_Base):
    """One external event for a server on this host."""

    server: str
    name: EventName
    port: str
    status: EventStatus


class HostEvents(_Base):
    """External events, as compute API accepted them (hop heard)."""

    events: tuple[HostEvent, ...]


class ConsoleWanted(_Base):
    server: str


class Console(_Base):
    output: bytes


# ---- host -> compute API: queue "compute-api"


class HostHeartbeat(_Base):
    """Due each 3 s; a host that has not been heard for 10 s is dead."""

    host: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    hypervisor_type: str
    started_at: datetime


class UnfinishedWanted(_Base):
    """Which servers of mine have an unfinished job, and which should be there at all?"""

    host: str


class Unfinished(_Base):
    """`unfinished`: a job is to be done. `present`: every server that belongs on the host."""

    unfinished: tuple[str, ...]
    present: tuple[str, ...]


class RecordWanted(_Base):
    """The record of a server, if it belongs to this host."""

    server: str
    host: str


class Record(_Base):
    """None: the server is not, or no longer, this host's."""

    server: Server | None


class PlugBegan(_Base):
    """Plugging begins: store the deadline, once for each attempt; the answer is the record with the one that holds."""

    server: str
    host: str
    attempt: int
    deadline: datetime | None  # None: vif_plugging_timeout is 0, nobody waits


class NicsKnown(_Base):
    """The server's ports, as the network has made and bound them."""

    server: str
    host: str
    attempt: int
    nics: tuple[NicInfo, ...]


class LeaveWanted(_Base):
    """May this attempt run its guest? Compare-and-set on (server, attempt). `world`: in which life of its host."""

    server: str
    host: str
    attempt: int
    world: str = ""


class Leave(_Base):
    granted: bool


class JobDone(_Base):
    """A job has ended well. `event` is a ServerEvent: booted, stopped, paused, rebooted, deleted, …"""

    server: str
    host: str
    attempt: int
    event: str


class JobFailed(_Base):
    """A job has failed for good. `details` is for admins; `is_elsewhere_possible`: another host may do better."""

    server: str
    host: str
    attempt: int
    message: str
    details: str = ""
    is_elsewhere_possible: bool = False


class Done(_Base):
    """It is so. `granted` False: refused as stale, nothing was changed."""

    granted: bool = True


# ---- network -> agent: queue "agent.<host>"


class PortsChanged(_Base):
    """Ports bound on this host are new, or not what they were: ask for their details again."""

    ports: tuple[str, ...]
    networks: tuple[str, ...]


class GroupsChanged(_Base):
    """These security groups have other rules or members than before: ask for those that you use."""

    groups: tuple[str, ...]


# ---- agent -> network: queue "network"


class AgentHeartbeat(_Base):
    """Due each 3 s."""

    host: str
    started_at: datetime
    has_dhcp: bool
    devices: int
    pending: int = 0


class LookBegins(_Base):
    """A full look begins; the answer tells the network's own time, by which later bindings are told apart."""

    host: str


class LookBegan(_Base):
    at: datetime


class PortMark(_Base):
    """One port in an agent's report. `generation` None: the device carries none.

    In a full look `details` is the digest of the PortDetails by which it was wired.
    """

    port: str
    generation: str | None
    details: str | None = None


class DetailsWanted(_Base):
    """Tell me about these ports, which I see on my bridge."""

    host: str
    epoch: int
    sequence: int
    ports: tuple[PortMark, ...]


class PortDetails(_Base):
    """What an agent must know to wire a port. `is_bound_here` False: leave it on the dead VLAN."""

    port: str
    is_bound_here: bool
    network: str = ""
    generation: str | None = None
    mac: str = ""
    addresses: tuple[str, ...] = ()
    admin_state_up: bool = True
    port_security_enabled: bool = True
    allowed_address_pairs: tuple[dict[str, str], ...] = ()
    security_groups: tuple[str, ...] = ()
    server: str = ""

    @property
    def digest(self) -> str:
        """Other details: another digest."""
        return hashlib.blake2b(msgspec.json.encode(self, order="deterministic"), digest_size=8).hexdigest()


class Details(_Base):
    ports: tuple[PortDetails, ...]


class GroupsWanted(_Base):
    """The security groups of the host's ports; `known` are the digests of all groups that the agent has."""

    host: str
    groups: tuple[str, ...]
    known: dict[str, str] = {}


class GroupRuleSpec(_Base):
    """A rule. `protocol` is a number; for ICMP `first` and `last` are type and code, else the ports of a range."""

    direction: str  # ingress, egress
    ethertype: str  # IPv4, IPv6
    protocol: int | None = None
    first: int | None = None
    last: int | None = None
    remote_prefix: str | None = None
    remote_group: str | None = None


class GroupSpec(_Base):
    """A group; `members` are the addresses (or prefixes) of its ports, each with its network."""

    id: str
    digest: str  # other rules or members: another digest
    rules: tuple[GroupRuleSpec, ...]
    members: tuple[tuple[str, str], ...]


class Groups(_Base):
    """The groups asked for, and those that their rules name as remote: all by id, with what is new of them.

    One that is in `ids` and not in `changed` is as the agent has it. One that was asked for and is not in `ids` does
    not exist.
    """

    ids: tuple[str, ...]
    changed: tuple[GroupSpec, ...]


class Reports(_Base):
    """What became of ports: up once wired and proven, down once gone.

    `complete` is a full look: `up` is then all that is wired on the host, and `look_began` what LookBegan said.
    """

    host: str
    epoch: int
    sequence: int
    up: tuple[PortMark, ...] = ()
    down: tuple[PortMark, ...] = ()
    complete: bool = False
    look_began: datetime | None = None


class Looked(_Base):
    """The answer to a full look: these ports were wired by what is not so any more; ask for their details again."""

    changed: tuple[str, ...]


class DhcpWanted(_Base):
    """Everything the DHCP servers of these networks need; an empty tuple asks for all that concern the host."""

    host: str
    networks: tuple[str, ...]


class DhcpRangeSpec(_Base):
    cidr: str
    server_address: str
    gateway: str | None
    dns: tuple[str, ...]
    routes: tuple[tuple[str, str], ...]


class DhcpReservationSpec(_Base):
    port: str
    mac: str
    address: str
    hostname: str


class DhcpPortMark(_Base):
    """A port with reservations, as it was when they were read: DhcpReady brings it back as it is."""

    port: str
    generation: str | None
    mac: str
    addresses: tuple[str, ...]  # all of the port's


class DhcpNetworkSpec(_Base):
    """`port` and `mac` are of the DHCP server's own port on the host; `marks` of the ports that wait for DHCP."""

    network: str
    port: str
    mac: str
    mtu: int
    ranges: tuple[DhcpRangeSpec, ...]
    reservations: tuple[DhcpReservationSpec, ...]
    marks: tuple[DhcpPortMark, ...]


class DhcpNetworks(_Base):
    """Networks to be served. Those in `failed` cannot be told of now: they stay as they are on the host."""

    networks: tuple[DhcpNetworkSpec, ...]
    failed: tuple[str, ...] = ()


class DhcpReady(_Base):
    """The DHCP server on this host has read the reservations of these ports."""

    host: str
    marks: tuple[DhcpPortMark, ...]


# ---- anyone -> timeline: queue "timeline"


class FactSpec(_Base):
    """`bus`: exchange, routing key and queue."""

    what: str
    wall: datetime
    monotonic: float
    who: str
    server: str | None = None
    port: str | None = None
    generation: str | None = None
    attempt: int | None = None
    host: str | None = None
    detail: str = ""
    bus: tuple[str, str, str] | None = None


class Facts(_Base):
    facts: tuple[FactSpec, ...]


# ---- the bus itself


class Failed(_Base):
    """A handler's error, on its way back to the caller: the name of its class, its kind and message."""

    error: str
    kind: str
    message: str


Message = (
    DoJob
    | HostEvents
    | ConsoleWanted
    | Console
    | HostHeartbeat
    | UnfinishedWanted
    | Unfinished
    | RecordWanted
    | Record
    | PlugBegan
    | NicsKnown
    | LeaveWanted
    | Leave
    | JobDone
    | JobFailed
    | Done
    | PortsChanged
    | GroupsChanged
    | AgentHeartbeat
    | LookBegins
    | LookBegan
    | DetailsWanted
    | Details
    | GroupsWanted
    | Groups
    | Reports
    | Looked
    | DhcpWanted
    | DhcpNetworks
    | DhcpReady
    | Facts
    | Failed
)


class Envelope(msgspec.Struct, kw_only=True):
    """A message with what travels beside it."""

    body: Message
    request_id: str = ""
    headers: dict[str, Any] = {}


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)


def encode(envelope: Envelope) -> bytes:
    return _encoder.encode(envelope)


def decode(raw: bytes) -> Envelope:
    """Raises msgspec.DecodeError (of which ValidationError is one) for what is no message of ours."""
    return _decoder.decode(raw)
