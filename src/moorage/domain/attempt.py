"""Attempts of a server: which host may write for which, and what each word of a host makes of the record."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from moorage.domain.errors import Conflict, Exhausted, Stale
from moorage.domain.ids import Generation, HostName
from moorage.domain.scheduling import HostState, choose
from moorage.domain.server import (
    Fault,
    Job,
    Life,
    NicInfo,
    PowerState,
    Server,
    ServerEvent,
    TaskState,
    VmState,
    failed,
    job_of,
    moved,
)

HOST_PATIENCE = timedelta(seconds=60)  # since a host was heard last: it, or the bus, is being started again, say
MOST_TRIES = 3  # hosts asked to boot one server, before it is given up


def is_current(server: Server, host: str, attempt: int) -> bool:
    """Whether this is the attempt that counts, on the host that has it."""
    return server.host == host and server.attempt == attempt


def require_current(server: Server, host: str, attempt: int) -> None:
    """Raises Stale for a host that speaks of an attempt that is no longer its own."""
    if not is_current(server, host, attempt):
        raise Stale(f"server {server.id} is at attempt {server.attempt} by now, this speaks of {attempt} on {host}")


def is_unplaced(server: Server) -> bool:
    """Whether a host is still to be found for it."""
    return server.host is None and job_of(server.life) is Job.BOOT


def is_awaiting_network(server: Server) -> bool:
    """Whether its host still has to bind its ports, or waits for them, without leave to run it: another may have it."""
    return job_of(server.life) is Job.BOOT and server.host is not None and not server.is_released


def placed(server: Server, host: HostName, generation: Generation, now: datetime) -> Server:
    """The server as a new attempt on `host`."""
    return replace(
        server,
        host=host,
        tried=(*server.tried, host),
        attempt=server.attempt + 1,
        generation=generation,
        plug_deadline=None,
        is_released=False,
        life=Life(VmState.BUILDING, None, PowerState.NOSTATE),
        updated=now,
    )


def brought_up(server: Server, event: ServerEvent, generation: Generation, now: datetime) -> Server:
    """The server after what makes its guest boot again: a new attempt on its own host. Raises Conflict."""
    return replace(
        moved(server, event, now),
        attempt=server.attempt + 1,
        generation=generation,
        plug_deadline=None,
        is_released=False,
    )


def first_placed(server: Server, hosts: Iterable[HostState], generation: Generation, now: datetime) -> Server:
    """The server on the host chosen for it; as it is when it needs none.

    Raises Exhausted when no host takes it.
    """
    if not is_unplaced(server):
        return server
    return placed(server, chosen(server, hosts, now), generation, now)


def waits_for_host(server: Server, hosts: Iterable[HostState], now: datetime) -> bool:
    """Whether a new server that no host takes shall wait: one that would take it was heard of not long ago."""
    back = [replace(host, heard_at=now) for host in hosts if now - host.heard_at < HOST_PATIENCE]
    try:
        return bool(chosen(server, back, now))
    except Exhausted:
        return False


def elsewhere(server: Server, hosts: Iterable[HostState], generation: Generation, now: datetime) -> Server:
    """The server as a new attempt on a host that has not tried it yet. Raises Exhausted when there is none."""
    if len(server.tried) >= MOST_TRIES:
        raise Exhausted(f"Exceeded maximum number of retries for instance {server.id}.", kind="MaxRetriesExceeded")
    return placed(server, chosen(server, hosts, now), generation, now)


def chosen(server: Server, hosts: Iterable[HostState], now: datetime) -> HostName:
    """The host for this server: the one that an admin has named, or the best. Raises Exhausted."""
    wanted = server.extra.get("wanted_host")
    fitting = [host for host in hosts if wanted is None or host.name == wanted]
    if wanted is not None and not fitting:
        raise Exhausted(f"No valid host was found. There is no host {wanted}.", kind="NoValidHost")
    return choose(fitting, server.flavor, now, excluded=frozenset(server.tried))


def plugging(server: Server, host: str, attempt: int, deadline: datetime | None, now: datetime) -> Server:
    """The server when its VIFs begin to be plugged; the first deadline of an attempt stays. Raises Stale."""
    require_current(server, host, attempt)
    changed = server if server.plug_deadline is not None else replace(server, plug_deadline=deadline)
    return _building(changed, TaskState.NETWORKING, now)


def with_nics(server: Server, host: str, attempt: int, nics: tuple[NicInfo, ...], now: datetime) -> Server:
    """The server with its NICs as the network has bound them. Raises Stale."""
    require_current(server, host, attempt)
    return _building(replace(server, nics=nics), TaskState.SPAWNING, now)


def _building(server: Server, task: TaskState, now: datetime) -> Server:
    if server.life.vm is not VmState.BUILDING or server.life.task is TaskState.DELETING:
        return server
    return replace(server, life=replace(server.life, task=task), updated=now)


def released(server: Server, host: str, attempt: int, world: str = "") -> Server:
    """The server when its host is given leave to run the guest; from then on no other host gets it unasked.

    Raises Stale for an attempt that is over, Conflict for a server that is being deleted.
    """
    require_current(server, host, attempt)
    if server.life.task is TaskState.DELETING:
        raise Conflict(f"server {server.id} is being deleted")
    if server.is_released and server.world == world:
        return server
    return replace(server, is_released=True, world=world)


def started_again(
    server: Server, host: str, attempt: int, *, generation: Generation, request_id: str, now: datetime
) -> Server:
    """The server that ran when its host ended, and is started now that it is back. Raises Stale, Conflict."""
    require_current(server, host, attempt)
    return replace(brought_up(server, ServerEvent.HOST_CAME_BACK, generation, now), request_id=request_id)


def done(server: Server, host: str, attempt: int, event: ServerEvent, now: datetime) -> Server:
    """The server after its host has done a job. Raises Stale, or Conflict for what does not fit its state."""
    require_current(server, host, attempt)
    after = moved(server, event, now)
    if event is ServerEvent.BOOTED and server.launched_at is None:
        after = replace(after, launched_at=now)
    if event is ServerEvent.DELETED:
        after = replace(after, terminated_at=now)
    return replace(after, plug_deadline=None, reboot_type="") if after.life.task is None else after


def given_up(server: Server, host: str, attempt: int, fault: Fault, now: datetime) -> Server:
    """The server after its host has failed for good. Raises Stale, or Conflict for one that is being deleted."""
    require_current(server, host, attempt)
    return failed(server, fault, now)


def vanished(server: Server, now: datetime) -> Server:
    """A server that is being deleted and that no host has to clean up after. Raises Conflict."""
    return replace(moved(server, ServerEvent.DELETED, now), terminated_at=now)
