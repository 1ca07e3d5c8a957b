"""Hop wired on a real bridge: plans are carried out, and we know which of them still hold."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import structlog

from moorage.adapters.openflow.client import OpenFlowClient
from moorage.adapters.openflow.messages import Message, forget_connections
from moorage.adapters.ovsdb import bridge, operations
from moorage.adapters.ovsdb.bridge import Rows
from moorage.adapters.ovsdb.client import Operation, OvsdbClient
from moorage.adapters.ovsdb.control import Control
from moorage.adapters.ovsdb.flows import Packed, delete_all, packed, to_send
from moorage.adapters.ovsdb.session import Refused
from moorage.adapters.ovsdb.standing import Standing
from moorage.domain.errors import Conflict, Invalid, MoorageError, Unavailable
from moorage.domain.ids import PortId
from moorage.kit.translating import translating
from moorage.seams.switch import Shared, WirePlan

log = structlog.get_logger(__name__)


class Wires:
    """`sent` has the ofport and the mark of each port whose flows are known to be there, on the present connection."""

    def __init__(
        self, ovsdb: OvsdbClient, openflow: OpenFlowClient, control: Control, connections: int, timeout: float
    ) -> None:
        self.sent: dict[PortId, tuple[int | None, str]] = {}
        self._ovsdb = ovsdb
        self._openflow = openflow
        self._timeout = timeout
        self._life = 0  # one more each time that the connection was made or lost
        self._standing = Standing(openflow)
        self._zones: dict[PortId, int] = {}  # of ports that were wired
        self._control = control
        self._connections = connections  # that each zone may hold
        self._limited: set[int] = set()  # zones that know, on the present connection
        self._is_limiting = True  # as far as is known

    def forget(self) -> None:
        """The connection was made or lost: vswitchd may have been restarted, without any flow."""
        self._life += 1
        self._standing.forget()
        self.sent.clear()
        self._limited.clear()

    async def prepare(self, shared: Shared | None) -> None:
        """Before the bridge is looked at for `wire` or `unwire`: what takes long and does not depend on it."""
        if shared is not None:
            await self._standing.pack(shared)

    async def wire(
        self, plans: Sequence[WirePlan], shared: Shared | None, found: Mapping[PortId, Rows]
    ) -> Mapping[PortId, str]:
        """As the seam says; `found` is the bridge as we know it."""
        try:
            return await self._wire(plans, shared, found)
        except (Conflict, Invalid) as error:  # the database refused the whole transaction
            if len(plans) > 1:
                each = [await self.wire([plan], shared, found) for plan in plans]
                return {port: why for failed in each for port, why in failed.items()}
            await self.unwire([plan.port for plan in plans], shared, found)
            return {plan.port: error.message for plan in plans}

    async def unwire(self, ports: Sequence[PortId], shared: Shared | None, found: Mapping[PortId, Rows]) -> None:
        """As the seam says; a port of our own keeps its VLAN."""
        unmarked = [found[port] for port in ports if port in found and not found[port].is_service]
        await self._remove_flows(ports, shared, found)
        if unmarked:
            change = [change for rows in unmarked for change in operations.isolate_any(rows)]
            await self._ovsdb.transact(change, f"unwiring {len(ports)} ports")

    async def _remove_flows(self, ports: Sequence[PortId], shared: Shared | None, found: Mapping[PortId, Rows]) -> None:
        """Returns when the switch has none of these ports' flows. Raises Unavailable."""
        if not ports:
            return
        await self._openflow.connected()
        await self._standing.look(found)
        change = None if shared is None else self._standing.change(shared)
        messages: dict[str, Sequence[Message]] = {} if change is None else dict(change.new)
        for port in ports:
            self.sent.pop(port, None)
            zone = self._zones.pop(port, None)
            messages[port] = [delete_all(port), *([] if zone is None else [forget_connections(zone)])]
        if change is not None and change.gone:
            messages["shared"] = change.gone
        refused = await self._openflow.send(messages, "removing flows")
        for port in ports:
            self._standing.now_of(port, {})
        if refused:
            self._standing.forget()
            raise Unavailable(f"removing flows: {dict(refused)}")
        if change is not None:
            self._standing.changed(change)

    async def _wire(
        self, plans: Sequence[WirePlan], shared: Shared | None, found: Mapping[PortId, Rows]
    ) -> Mapping[PortId, str]:
        life = self._life
        await self._standing.look(found)
        self._check_life(life)
        work = _prepared(plans, found, self._standing)
        refused = dict(work.refused)
        good = [plan for plan in work.fitting if plan.port not in refused]
        tags = [change for plan in good for change in operations.tag(plan, found[plan.port])]
        change = None if shared is None else self._standing.change(shared)
        messages = work.messages if change is None else {**change.new, **work.messages}
        if change is not None and change.gone:
            messages["shared"] = change.gone
        if not plans and not messages:  # the usual case, at every change of the bridge that is no news to us
            if change is not None:
                self._standing.changed(change)
            return {}

        try:
            zones = {plan.zone for plan in good if plan.zone is not None} - self._limited
            rejected, _ = await asyncio.gather(
                self._both(tags, messages, f"wiring {len(plans)} ports"), self._limit(zones)
            )
        except MoorageError:
            self._standing.forget()  # all of it may have been carried out, some, or nothing
            raise
        self._check_life(life)
        refused |= {
            plan.port: f"the switch refused its flows: {rejected[plan.port]}" for plan in good if plan.port in rejected
        }
        if change is not None:
            self._shared_sent(change.new.keys() & rejected.keys(), rejected)
            self._standing.changed(change)

        proven = [plan for plan in good if plan.port not in refused]
        bad = [plan for plan in work.fitting if plan.port in refused]
        for plan in proven:
            self._standing.now_of(plan.port, work.wanted[plan.port])
        self._zones |= {plan.port: plan.zone for plan in proven if plan.zone is not None}
        self.sent |= {plan.port: (plan.ofport, bridge.mark_of(plan)) for plan in proven}
        unmarked = [plan for plan in proven if not bridge.is_marked(plan, found[plan.port])]
        marks = [operations.mark(plan, found[plan.port]) for plan in unmarked]
        isolations = [change for plan in bad for change in operations.isolate(plan, found[plan.port])]
        if marks or isolations:
            results = await self._ovsdb.transact(marks + isolations, f"marking {len(plans)} ports as wired")
            late = [plan.port for plan, result in zip(unmarked, results, strict=False) if result["count"] == 0]
            refused |= dict.fromkeys(late, "it was unplugged, plugged or opened anew meanwhile")
        fitting = {plan.port for plan in work.fitting}
        await self._remove_flows([port for port in refused if port in fitting], None, found)
        self._check_life(life)
        return refused

    def _shared_sent(self, refused: AbstractSet[str], why: Mapping[str, str]) -> None:
        for name in refused:
            log.error("the switch refused flows that ports share", name=name, reason=why[name])
        if refused:
            self._standing.forget()

    async def _both(
        self, change: Sequence[Operation], flows: Mapping[str, Sequence[Message]], act: str
    ) -> Mapping[str, str]:
        """The transaction and the batch of flows at once, neither waiting for the other: whose flows were refused.

        Where nothing is to be changed it is only made sure that the database is still there.
        """
        with translating({OSError: Unavailable, Refused: Unavailable}, act):
            async with asyncio.timeout(self._timeout):
                flowing = self._openflow.start(flows) if flows else _nobody()
                tagging: Awaitable[object] = self._ovsdb.start(change) if change else self._ovsdb.catch_up()
                _, rejected = await asyncio.gather(tagging, flowing)
                return rejected

    async def _limit(self, zones: AbstractSet[int]) -> None:
        """A port without a limit is better than none, and its next wiring tries again."""
        if not zones:
            return
        life = self._life
        try:
            await self._control.limit(zones, self._connections)
        except Unavailable as error:
            if self._is_limiting:  # said once
                log.warning("guests' connections are not limited: one can fill the host's table", error=str(error))
            self._is_limiting = False
        else:
            self._is_limiting = True
            self._limited |= zones if self._life == life else frozenset()

    def _check_life(self, life: int) -> None:
        if self._life != life:
            raise Unavailable("the switch was restarted while ports were wired")


@dataclass
class _Work:
    """What plans come to: `messages` to send where something is to be changed, `wanted` the flows of good plans."""

    fitting: list[WirePlan] = field(default_factory=list)
    wanted: dict[PortId, Packed] = field(default_factory=dict)
    messages: dict[str, Sequence[Message]] = field(default_factory=dict)
    refused: dict[PortId, str] = field(default_factory=dict)


def _prepared(plans: Sequence[WirePlan], found: Mapping[PortId, Rows], standing: Standing) -> _Work:
    """What to send for each port, and the ports that cannot be wired.

    Of a plan that does not fit the port as it is nothing is sent: another one is right. Of a plan whose flows make no
    sense the old flows are removed.
    """
    work = _Work()
    for plan in plans:
        why = bridge.why_not(plan, found.get(plan.port))
        if why is not None:
            work.refused[plan.port] = why
            continue
        work.fitting.append(plan)
        try:
            wanted = packed(plan.port, plan.flows)
        except ValueError as error:
            work.refused[plan.port] = f"its flows make no sense: {error}"
            continue
        work.wanted[plan.port] = wanted
        if messages := to_send(wanted, standing.of(plan.port), plan.zone):
            work.messages[plan.port] = messages
    return work


def _nobody() -> asyncio.Future[Mapping[str, str]]:
    done: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()
    done.set_result({})
    return done
