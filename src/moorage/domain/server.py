"""A server and its life, as Nova tells it: vm_state, task_state, power_state, status."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from moorage.domain.errors import Conflict
from moorage.domain.ids import FlavorId, Generation, HostName, ImageId, NetworkId, PortId, ProjectId, ServerId, UserId


class VmState(StrEnum):
    BUILDING = "building"
    ACTIVE = "active"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    STOPPED = "stopped"
    ERROR = "error"
    DELETED = "deleted"


class TaskState(StrEnum):
    SCHEDULING = "scheduling"
    NETWORKING = "networking"
    SPAWNING = "spawning"
    POWERING_OFF = "powering-off"
    POWERING_ON = "powering-on"
    REBOOTING = "rebooting"
    REBOOTING_HARD = "rebooting_hard"
    PAUSING = "pausing"
    UNPAUSING = "unpausing"
    SUSPENDING = "suspending"
    RESUMING = "resuming"
    REBUILDING = "rebuilding"
    DELETING = "deleting"


class PowerState(IntEnum):
    NOSTATE = 0
    RUNNING = 1
    PAUSED = 3
    SHUTDOWN = 4
    CRASHED = 6
    SUSPENDED = 7


class ServerEvent(StrEnum):
    """What can happen to a server: an action that is accepted, or a job on its host that ends."""

    STOP = "os-stop"
    START = "os-start"
    REBOOT_SOFT = "reboot soft"
    REBOOT_HARD = "reboot"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    SUSPEND = "suspend"
    RESUME = "resume"
    REBUILD = "rebuild"
    DELETE = "delete"
    BOOTED = "booted"
    STOPPED = "stopped"
    REBOOTED = "rebooted"
    PAUSED = "paused"
    UNPAUSED = "unpaused"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    REBUILT = "rebuilt"
    FAILED = "failed"
    DELETED = "deleted"
    GUEST_ENDED = "guest ended"
    HOST_CAME_BACK = "host came back"


@dataclass(frozen=True)
class Life:
    """The part of a server's row that a life cycle moves."""

    vm: VmState
    task: TaskState | None
    power: PowerState


_V, _T, _P, _E = VmState, TaskState, PowerState, ServerEvent
_ANY_TASK = (None, *TaskState)
_POWER = {  # of a server that rests in this state
    _V.ACTIVE: _P.RUNNING,
    _V.PAUSED: _P.PAUSED,
    _V.SUSPENDED: _P.SHUTDOWN,
    _V.STOPPED: _P.SHUTDOWN,
    _V.ERROR: _P.NOSTATE,
}
_HALTED = (_V.PAUSED, _V.SUSPENDED)  # the guest is there and executes nothing
_IN_PLACE = (  # (from, action, task while it goes on, its end, to): what leaves the guest's devices as they are
    (_V.ACTIVE, _E.PAUSE, _T.PAUSING, _E.PAUSED, _V.PAUSED),
    (_V.PAUSED, _E.UNPAUSE, _T.UNPAUSING, _E.UNPAUSED, _V.ACTIVE),
    (_V.ACTIVE, _E.SUSPEND, _T.SUSPENDING, _E.SUSPENDED, _V.SUSPENDED),
    (_V.SUSPENDED, _E.RESUME, _T.RESUMING, _E.RESUMED, _V.ACTIVE),
    (_V.ACTIVE, _E.REBOOT_SOFT, _T.REBOOTING, _E.REBOOTED, _V.ACTIVE),
)

# (vm_state, task_state, event) -> the life after it. What the table leaves out is a Conflict.
NEXT: Mapping[tuple[VmState, TaskState | None, ServerEvent], Life] = {
    # actions, as they are accepted
    (_V.ACTIVE, None, _E.STOP): Life(_V.ACTIVE, _T.POWERING_OFF, _P.RUNNING),
    (_V.ERROR, None, _E.STOP): Life(_V.ERROR, _T.POWERING_OFF, _P.NOSTATE),
    (_V.STOPPED, None, _E.START): Life(_V.STOPPED, _T.POWERING_ON, _P.SHUTDOWN),
    **{(vm, None, _E.REBUILD): Life(vm, _T.REBUILDING, _POWER[vm]) for vm in (_V.ACTIVE, _V.STOPPED, _V.ERROR)},
    **{(vm, None, action): Life(vm, task, _POWER[vm]) for vm, action, task, _, _ in _IN_PLACE},
    **{
        (vm, task, _E.REBOOT_HARD): Life(vm, _T.REBOOTING_HARD, power)
        for vm, power in _POWER.items()
        for task in (None, _T.REBOOTING, _T.REBOOTING_HARD)
    },
    **{
        (vm, task, _E.DELETE): Life(vm, _T.DELETING, _P.NOSTATE)
        for vm in VmState
        if vm is not _V.DELETED
        for task in _ANY_TASK
    },
    # what the host says when a job has ended
    **{
        (_V.BUILDING, task, _E.BOOTED): Life(_V.ACTIVE, None, _P.RUNNING)
        for task in (None, _T.SCHEDULING, _T.NETWORKING, _T.SPAWNING)
    },
    **{(vm, _T.POWERING_ON, _E.BOOTED): Life(_V.ACTIVE, None, _P.RUNNING) for vm in (_V.STOPPED, _V.ERROR)},
    **{(vm, _T.REBOOTING_HARD, _E.BOOTED): Life(_V.ACTIVE, None, _P.RUNNING) for vm in _POWER},
    **{(vm, _T.REBUILDING, _E.BOOTED): Life(_V.ACTIVE, None, _P.RUNNING) for vm in (_V.ACTIVE, _V.ERROR)},
    (_V.STOPPED, _T.REBUILDING, _E.REBUILT): Life(_V.STOPPED, None, _P.SHUTDOWN),
    (_V.STOPPED, None, _E.REBUILT): Life(_V.STOPPED, None, _P.SHUTDOWN),  # told twice
    (_V.ACTIVE, None, _E.BOOTED): Life(_V.ACTIVE, None, _P.RUNNING),  # told twice: the first reply was lost
    **{(vm, _T.POWERING_OFF, _E.STOPPED): Life(_V.STOPPED, None, _P.SHUTDOWN) for vm in (_V.ACTIVE, _V.ERROR)},
    (_V.STOPPED, None, _E.STOPPED): Life(_V.STOPPED, None, _P.SHUTDOWN),  # told twice
    **{(vm, task, end): Life(to, None, _POWER[to]) for vm, _, task, end, to in _IN_PLACE},
    **{(to, None, end): Life(to, None, _POWER[to]) for _, _, _, end, to in _IN_PLACE},  # told twice
    **{(vm, None, _E.GUEST_ENDED): Life(_V.STOPPED, None, _P.SHUTDOWN) for vm in (_V.ACTIVE, *_HALTED)},
    (_V.ACTIVE, None, _E.HOST_CAME_BACK): Life(_V.STOPPED, _T.POWERING_ON, _P.SHUTDOWN),  # it ran when its host ended
    **{
        (vm, task, _E.FAILED): Life(_V.ERROR, None, _P.NOSTATE)
        for vm in (_V.BUILDING, *_POWER)
        for task in _ANY_TASK
        if task is not _T.DELETING
    },
    **{(vm, _T.DELETING, _E.DELETED): Life(_V.DELETED, None, _P.NOSTATE) for vm in VmState},
}


@dataclass(frozen=True)
class Fault:
    """Why a server is in ERROR. `details` names hosts and agents, and is for admins only."""

    code: int
    message: str
    created: datetime
    details: str = ""


@dataclass(frozen=True)
class Flavor:
    """A size. It is copied into each server, so that a deleted flavor changes no server."""

    id: FlavorId
    name: str
    vcpus: int
    ram: int  # MiB
    disk: int  # GiB
    ephemeral: int = 0  # GiB
    swap: int = 0  # MiB
    rxtx_factor: float = 1.0
    is_public: bool = True
    description: str | None = None
    extra_specs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RequestedNic:
    """What the caller asked for: a new port on `network` (maybe with this address), or the existing `port`."""

    network: NetworkId | None = None
    port: PortId | None = None
    fixed_ip: str | None = None


@dataclass(frozen=True)
class NicInfo:
    """A NIC as compute knows it (a copy of the network's truth, refreshed by its events)."""

    port: PortId
    network: NetworkId
    network_name: str
    mac_address: str
    addresses: tuple[str, ...]
    is_ours: bool  # made by compute: deleted with the server; else only unbound


@dataclass(frozen=True)
class Server:
    """A row of compute's servers.

    `attempt` counts the times that a host was asked to bring the server up; `generation` is that attempt's plug
    intent; `plug_deadline` (UTC) is set once, when plugging begins.
    """

    id: ServerId
    project: ProjectId
    user: UserId
    name: str
    created: datetime
    updated: datetime
    flavor: Flavor
    image: ImageId | None
    nics_wanted: tuple[RequestedNic, ...]
    life: Life = Life(VmState.BUILDING, TaskState.SCHEDULING, PowerState.NOSTATE)
    host: HostName | None = None
    attempt: int = 0
    generation: Generation | None = None
    plug_deadline: datetime | None = None
    request_id: str = ""  # of the request whose job is under way
    reboot_type: str = ""  # SOFT or HARD while a reboot is under way
    metadata: Mapping[str, str] = field(default_factory=dict)
    security_groups: tuple[str, ...] = ()
    key_name: str | None = None
    key_data: str | None = None
    user_data: str | None = None  # base64, as it came
    availability_zone: str = "nova"
    description: str | None = None
    tags: tuple[str, ...] = ()
    access_ip_v4: str = ""
    access_ip_v6: str = ""
    disk_config: str = "MANUAL"
    config_drive: str = ""
    nics: tuple[NicInfo, ...] = ()
    fault: Fault | None = None
    launched_at: datetime | None = None
    terminated_at: datetime | None = None
    reservation_id: str = ""
    launch_index: int = 0
    hostname: str = ""
    tried: tuple[HostName, ...] = ()  # hosts that were asked to boot it, in order
    is_released: bool = False  # its host was given leave to run the guest in this attempt
    world: str = ""  # in which life of its host that was: another one has no guest of it any more
    is_locked: bool = False
    locked_reason: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def after(life: Life, event: ServerEvent, server: ServerId) -> Life:
    """The life after `event`. Raises Conflict, in Nova's words, for what the table leaves out."""
    try:
        return NEXT[life.vm, life.task, event]
    except KeyError:
        where = f"task_state {life.task}" if life.task is not None else f"vm_state {life.vm}"
        raise Conflict(f"Cannot '{event.split()[0]}' instance {server} while it is in {where}") from None


def moved(server: Server, event: ServerEvent, now: datetime) -> Server:
    """The server after `event`; a fault is forgotten with every state but ERROR."""
    life = after(server.life, event, server.id)
    fault = server.fault if life.vm is VmState.ERROR else None
    return replace(server, life=life, fault=fault, updated=now)


def failed(server: Server, fault: Fault, now: datetime) -> Server:
    """The server in ERROR with its fault. One that never booted loses its host (later events for it get 422) and its
    addresses: its ports are gone.

    One that did keeps both: its disk is there, and a hard reboot may bring it back.
    """
    after = replace(moved(server, ServerEvent.FAILED, now), fault=fault, plug_deadline=None)
    return replace(after, host=None, nics=()) if server.life.vm is VmState.BUILDING else after


def reset(server: Server, *, is_active: bool, now: datetime) -> Server:
    """The server as an admin says that it is (os-resetState), whatever it was."""
    life = Life(VmState.ACTIVE, None, server.life.power) if is_active else Life(VmState.ERROR, None, PowerState.NOSTATE)
    return replace(server, life=life, fault=None if is_active else server.fault, updated=now)


def status(life: Life) -> str:
    """The API's one word for vm_state and task_state."""
    match life.vm, life.task:
        case VmState.BUILDING, _:
            return "BUILD"
        case _, TaskState.REBUILDING:
            return "REBUILD"
        case VmState.ACTIVE, TaskState.REBOOTING:
            return "REBOOT"
        case VmState.ACTIVE, TaskState.REBOOTING_HARD:
            return "HARD_REBOOT"
        case VmState.ACTIVE, _:
            return "ACTIVE"
        case VmState.PAUSED, _:
            return "PAUSED"
        case VmState.SUSPENDED, _:
            return "SUSPENDED"
        case VmState.STOPPED, _:
            return "SHUTOFF"
        case VmState.DELETED, _:
            return "DELETED"
        case _:
            return "ERROR"


def has_guest(life: Life) -> bool:
    """Whether a guest should be there, running or halted, as the record has it."""
    return life.power is PowerState.RUNNING or life.vm in _HALTED


class Job(StrEnum):
    """What a host has to do for a server whose record is unfinished."""

    BOOT = "boot"
    STOP = "stop"
    START = "start"
    REBOOT = "reboot"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    SUSPEND = "suspend"
    RESUME = "resume"
    REBUILD = "rebuild"
    DELETE = "delete"


def job_of(life: Life) -> Job | None:
    """The unfinished job that a record stands for; None when nothing is under way."""
    match life.vm, life.task:
        case _, TaskState.DELETING:
            return Job.DELETE
        case VmState.BUILDING, _:
            return Job.BOOT
        case _, TaskState.POWERING_OFF:
            return Job.STOP
        case _, TaskState.POWERING_ON:
            return Job.START
        case _, TaskState.REBOOTING | TaskState.REBOOTING_HARD:
            return Job.REBOOT
        case _, TaskState.PAUSING:
            return Job.PAUSE
        case _, TaskState.UNPAUSING:
            return Job.UNPAUSE
        case _, TaskState.SUSPENDING:
            return Job.SUSPEND
        case _, TaskState.RESUMING:
            return Job.RESUME
        case _, TaskState.REBUILDING:
            return Job.REBUILD
        case _:
            return None
