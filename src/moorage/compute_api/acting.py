"""What a caller does to a server that exists: each act is accepted in one transaction, then its host is told."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import structlog

from moorage.compute_api.facts import fact_of
from moorage.compute_api.placing import Placer
from moorage.domain.action import ActionEvent, InstanceAction, finished
from moorage.domain.attempt import brought_up, vanished
from moorage.domain.caller import Caller
from moorage.domain.errors import Conflict, NotFound
from moorage.domain.hops import Hop
from moorage.domain.ids import Generation, ServerId
from moorage.domain.server import Job, Server, ServerEvent, TaskState, VmState, job_of, moved, reset
from moorage.seams.bus import Bus
from moorage.seams.clock import Clock
from moorage.seams.server_store import ServerStore
from moorage.seams.timeline import Timeline
from moorage.wire.messages import Console, ConsoleWanted

log = structlog.get_logger(__name__)

# event -> the action's name in the API, and its step's
NAMES = {
    ServerEvent.STOP: ("stop", "compute_stop_instance"),
    ServerEvent.START: ("start", "compute_start_instance"),
    ServerEvent.REBOOT_SOFT: ("reboot", "compute_reboot_instance"),
    ServerEvent.REBOOT_HARD: ("reboot", "compute_reboot_instance"),
    ServerEvent.PAUSE: ("pause", "compute_pause_instance"),
    ServerEvent.UNPAUSE: ("unpause", "compute_unpause_instance"),
    ServerEvent.SUSPEND: ("suspend", "compute_suspend_instance"),
    ServerEvent.RESUME: ("resume", "compute_resume_instance"),
    ServerEvent.REBUILD: ("rebuild", "rebuild_instance"),
    ServerEvent.DELETE: ("delete", "compute_terminate_instance"),
}
REBOOT_TYPES = {ServerEvent.REBOOT_SOFT: "SOFT", ServerEvent.REBOOT_HARD: "HARD"}
CHANGEABLE = frozenset(
    {VmState.ACTIVE, VmState.PAUSED, VmState.SUSPENDED, VmState.STOPPED}
)  # in which metadata may be changed


@dataclass(frozen=True)
class Acting:
    store: ServerStore
    bus: Bus
    clock: Clock
    timeline: Timeline
    placer: Placer
    new_id: Callable[[], str]

    async def own(self, server: str, caller: Caller) -> Server:
        """A server that the caller may see: of its project, for admins any. Raises NotFound."""
        project = None if caller.is_admin else caller.require_project()
        return await self.store.show(ServerId(server), project=project)

    async def do(
        self,
        server: str,
        event: ServerEvent,
        caller: Caller,
        request_id: str,
        *,
        change: Callable[[Server], Server] = lambda row: row,
    ) -> Server:
        """Have its host act on it; `change` is made in the same transaction. Raises NotFound, Conflict."""
        await self.own(server, caller)
        now = self.clock.now()
        generation = Generation(self.new_id().replace("-", ""))

        def rule(row: Server) -> Server:
            asked = asked_of_host(
                row, event=event, caller=caller, generation=generation, request_id=request_id, now=now
            )
            return change(asked)

        begins = partial(begun, event=event, caller=caller, request_id=request_id, now=now)
        after = await self.store.update(ServerId(server), rule, begins=begins)
        if after.generation == generation:
            self._tell_asked(after)
        assert after.host is not None  # or it was a Conflict
        await self.placer.tell(after, after.host)
        return after

    def _tell_asked(self, server: Server) -> None:
        """A start, a hard reboot or a rebuild is a boot of its own: a new generation, and its hops."""
        self.timeline.tell(fact_of(server, Hop.ASKED, wall=self.clock.now(), monotonic=self.clock.monotonic()))

    async def delete(self, server: str, caller: Caller, request_id: str) -> None:
        """Begin to delete, in any state and as often as is asked. Raises NotFound, Conflict for a locked one."""
        before = await self.own(server, caller)
        now = self.clock.now()
        after = await self.store.update(
            ServerId(server),
            partial(deleting, caller=caller, request_id=request_id, now=now),
            begins=partial(begun, event=ServerEvent.DELETE, caller=caller, request_id=request_id, now=now),
            ends=(
                partial(finished, now=now, error="The server was deleted while it was built.")
                if job_of(before.life) is Job.BOOT
                else None
            ),
        )
        if after.life.vm is VmState.DELETED:
            log.info("server %s was deleted before it had a host", server)
        elif after.host is None:
            self.placer.clean_up(after.id)
        else:
            await self.placer.tell(after, after.host)

    async def change(
        self, server: str, caller: Caller, change: Callable[[Server], Server], *, states: frozenset[VmState] | None
    ) -> Server:
        """Change what no host need know: name, metadata, tags. Raises NotFound, Conflict."""
        await self.own(server, caller)
        now = self.clock.now()

        def rule(row: Server) -> Server:
            if states is not None and row.life.vm not in states:
                raise Conflict(f"Cannot 'update' instance {row.id} while it is in vm_state {row.life.vm}")
            return replace(change(row), updated=now)

        return await self.store.update(ServerId(server), rule)

    async def lock(self, server: str, caller: Caller, request_id: str, reason: str | None) -> None:
        """From now on nobody but an admin may act on it."""
        await self._note(
            server, caller, request_id, "lock", lambda row: replace(row, is_locked=True, locked_reason=reason)
        )

    async def unlock(self, server: str, caller: Caller, request_id: str) -> None:
        await self._note(
            server, caller, request_id, "unlock", lambda row: replace(row, is_locked=False, locked_reason=None)
        )

    async def reset(self, server: str, caller: Caller, request_id: str, *, is_active: bool) -> None:
        """Say that a server is active, or in error. Raises Forbidden unless the caller is an admin."""
        caller.require_admin("os_compute_api:os-admin-actions:reset_state")
        rule = partial(reset, is_active=is_active, now=self.clock.now())
        await self._note(server, caller, request_id, "resetState", rule)

    async def console(self, server: str, caller: Caller, length: int | None) -> str:
        """The last `length` lines of the console (None: all). Raises Conflict when there is none, Unavailable."""
        row = await self.own(server, caller)
        now = self.clock.now()
        if row.host is None:
            raise Conflict(f"Instance {server} is not ready: it is on no host, and has no console.")
        if not await self._is_alive(row.host, now):
            raise Conflict(f"Instance {server} is not ready: its host {row.host} does not answer.")
        try:
            answer = await self.bus.call(f"compute.{row.host}", ConsoleWanted(server=row.id), timeout=10.0)
        except NotFound as error:
            raise Conflict(f"Instance {server} is not ready: it has no console yet.") from error
        output = answer.output if isinstance(answer, Console) else b""
        return tail(output.decode("utf-8", "replace"), length)

    async def _is_alive(self, name: str, now: datetime) -> bool:
        return any(host.state.name == name and host.state.is_alive(now) for host in await self.store.hosts())

    async def _note(
        self, server: str, caller: Caller, request_id: str, action: str, change: Callable[[Server], Server]
    ) -> None:
        """A change that is done at once, with its action."""
        await self.own(server, caller)
        now = self.clock.now()
        await self.store.update(
            ServerId(server),
            change,
            begins=lambda before, _: InstanceAction(
                before.id, request_id, action, caller.user, before.project, started=now, updated=now
            ),
        )


def tail(text: str, length: int | None) -> str:
    """The last `length` lines, as many by line feeds alone; all of it for None or a negative number."""
    if length is None or length < 0:
        return text
    lines = text.removesuffix("\n").split("\n")
    return "\n".join(lines[max(0, len(lines) - length) :])


def require_unlocked(server: Server, caller: Caller) -> None:
    """Raises Conflict for a locked server, but for an admin."""
    if server.is_locked and not caller.is_admin:
        raise Conflict(f"Instance {server.id} is locked")


def asked_of_host(
    server: Server, *, event: ServerEvent, caller: Caller, generation: Generation, request_id: str, now: datetime
) -> Server:
    """The server after an act was accepted that its host has to carry out. Raises Conflict."""
    require_unlocked(server, caller)
    is_boot = event in {ServerEvent.START, ServerEvent.REBOOT_HARD, ServerEvent.REBUILD}
    if is_boot and (event, server.life.vm) != (ServerEvent.REBUILD, VmState.STOPPED):  # which stays off
        after = brought_up(server, event, generation, now)
    else:
        after = moved(server, event, now)
    if server.host is None:
        raise Conflict(f"Instance {server.id} is not ready: it has no host.")
    return replace(after, request_id=request_id, reboot_type=REBOOT_TYPES.get(event, ""))


def deleting(server: Server, *, caller: Caller, request_id: str, now: datetime) -> Server:
    """The server as it is to be deleted; gone at once when no host was ever asked to boot it. Raises Conflict."""
    require_unlocked(server, caller)
    if server.life.task is TaskState.DELETING:
        return server
    after = replace(moved(server, ServerEvent.DELETE, now), request_id=request_id)
    return vanished(after, now) if after.host is None and after.attempt == 0 else after


def begun(
    before: Server, after: Server, *, event: ServerEvent, caller: Caller, request_id: str, now: datetime
) -> InstanceAction | None:
    """The action that an accepted act is; None when nothing new was asked."""
    if after is before:
        return None
    name, step = NAMES[event]
    action = InstanceAction(
        server=before.id,
        request_id=request_id,
        action=name,
        user=caller.user,
        project=before.project,
        started=now,
        updated=now,
        events=(ActionEvent(step, now, host=after.host),),
    )
    return finished(action, now) if after.life.vm is VmState.DELETED else action
