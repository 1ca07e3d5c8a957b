"""Hop wired on a real bridge: plans are carried out, and we know which of them still hold."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from moorage.adapters.openflow.client import OpenFlowClient
from moorage.adapters.openflow.messages import Message, delete_flows
from moorage.adapters.ovsdb import bridge, operations
from moorage.adapters.ovsdb.bridge import Rows
from moorage.adapters.ovsdb.client import Operation, OvsdbClient
from moorage.adapters.ovsdb.flows import Packed, by_owner, delete_all, owner_of, packed, service_flows, to_send
from moorage.adapters.ovsdb.session import Refused
from moorage.domain.errors import Conflict, Invalid, MoorageError, Unavailable
from moorage.domain.ids import PortId
from moorage.kit.translating import translating
from moorage.seams.switch import WirePlan

log = structlog.get_logger(__name__)


class Wires:
    """`sent` has the ofport and the mark of each port whose flows are known to be there, on the present connection.

    What is there is asked of the bridge once on each connection, and kept up from then on: an agent that was restarted
    sends nothing that the bridge has, and one whose bridge was restarted sends all.
    """

    def __init__(self, ovsdb: OvsdbClient, openflow: OpenFlowClient, timeout: float) -> None:
        self.sent: dict[PortId, tuple[int | None, str]] = {}
        self._ovsdb = ovsdb
        self._openflow = openflow
        self._timeout = timeout
        self._life = 0  # one more each time that the connection was made or lost
        self._there: dict[int, set[int]] | None = None  # each owner's cookies, once the bridge has told them

    def forget(self) -> None:
        """The connection was made or lost: vswitchd may have been restarted, without any flow."""
        self._life += 1
        self._there = None
        self.sent.clear()

    async def wire(self, plans: Sequence[WirePlan], found: Mapping[PortId, Rows]) -> Mapping[PortId, str]:
        """As the seam says; `found` is the bridge as we know it."""
        try:
            return await self._wire(plans, found)
        except (Conflict, Invalid) as error:  # the database refused the whole transaction
            if len(plans) > 1:
                return {port: why for plan in plans for port, why in (await self.wire([plan], found)).items()}
            await self.unwire([plan.port for plan in plans], found)
            return {plan.port: error.message for plan in plans}

    async def unwire(self, ports: Sequence[PortId], found: Mapping[PortId, Rows]) -> None:
        """As the seam says; a port of our own keeps its VLAN."""
        unmarked = [found[port] for port in ports if port in found and not found[port].is_service]
        await self.remove_flows(ports)
        if unmarked:
            change = [change for rows in unmarked for change in operations.isolate_any(rows)]
            await self._ovsdb.transact(change, f"unwiring {len(ports)} ports")

    async def remove_flows(self, ports: Sequence[PortId]) -> None:
        """Returns when the switch has none of these ports' flows. Raises Unavailable."""
        for port in ports:
            self.sent.pop(port, None)
        if ports:
            refused = await self._openflow.send({port: [delete_all(port)] for port in ports}, "removing flows")
            if refused:
                raise Unavailable(f"removing flows: {dict(refused)}")
            self._now_there({port: {} for port in ports})

    def serve(self, found: Iterable[Rows]) -> None:
        """Send the flows of ports of our own that the switch has opened (again), and wait for nothing."""
        if not self._openflow.is_up:
            return
        for rows in found:
            port, sent = rows.port_id, (rows.ofport, bridge.WIRED_WITHOUT_GENERATION)
            if port is None or not rows.is_service or rows.ofport is None or self.sent.get(port) == sent:
                continue
            with suppress(ConnectionError):  # we are called again when the connection is made again
                messages = self._serving(port, rows.ofport)
                self._openflow.start({port: messages}).add_done_callback(_said)
                self.sent[port] = sent

    async def serve_proven(self, port: PortId, ofport: int) -> None:
        """Returns when the switch has the flows of a port of our own. Raises Unavailable."""
        refused = await self._openflow.send({port: self._serving(port, ofport)}, f"serving port {port}")
        if refused:
            raise Unavailable(f"serving port {port}: {refused[port]}")

    def _serving(self, port: PortId, ofport: int) -> list[Message]:
        """The messages to a port of our own; sent again they change nothing, and interrupt nothing."""
        wanted = packed(port, service_flows(ofport))
        before = self.sent.get(port, (None, ""))[0]
        outdated = set(packed(port, service_flows(before))) if before not in (None, ofport) else set[int]()
        self._now_there({port: wanted})
        return to_send(wanted, outdated)

    async def _wire(self, plans: Sequence[WirePlan], found: Mapping[PortId, Rows]) -> Mapping[PortId, str]:
        life = self._life
        there = await self._what_is_there(found)
        work = _prepared(plans, found, there)
        refused = dict(work.refused)
        good = [plan for plan in work.fitting if plan.port not in refused]
        tags = [change for plan in good for change in operations.tag(plan, found[plan.port])]

        try:
            rejected = await self._both(tags, work.messages, f"wiring {len(plans)} ports")
        except MoorageError:
            self._there = None  # all of it may have been carried out, some, or nothing
            raise
        self._check_life(life)
        refused |= {port: f"the switch refused its flows: {reason}" for port, reason in rejected.items()}

        proven = [plan for plan in good if plan.port not in refused]
        bad = [plan for plan in work.fitting if plan.port in refused]
        self._now_there({plan.port: work.wanted[plan.port] for plan in proven})
        self.sent |= {plan.port: (plan.ofport, bridge.mark_of(plan)) for plan in proven}
        unmarked = [plan for plan in proven if not bridge.is_marked(plan, found[plan.port])]
        marks = [operations.mark(plan, found[plan.port]) for plan in unmarked]
        isolations = [change for plan in bad for change in operations.isolate(plan, found[plan.port])]
        if marks or isolations:
            results = await self._ovsdb.transact(marks + isolations, f"marking {len(plans)} ports as wired")
            late = [plan.port for plan, result in zip(unmarked, results, strict=False) if result["count"] == 0]
            refused |= dict.fromkeys(late, "it was unplugged, plugged or opened anew meanwhile")
        fitting = {plan.port for plan in work.fitting}
        await self.remove_flows([port for port in refused if port in fitting])
        self._check_life(life)
        return refused

    async def _both(
        self, change: Sequence[Operation], flows: Mapping[PortId, Sequence[Message]], act: str
    ) -> Mapping[PortId, str]:
        """The transaction and the batch of flows at once, neither waiting for the other: whose flows were refused.

        Where nothing is to be changed it is only made sure that the database is still there.
        """
        with translating({OSError: Unavailable, Refused: Unavailable}, act):
            async with asyncio.timeout(self._timeout):
                flowing = self._openflow.start(flows) if flows else _nobody()
                tagging: Awaitable[object] = self._ovsdb.start(change) if change else self._ovsdb.catch_up()
                _, rejected = await asyncio.gather(tagging, flowing)
                return rejected

    async def _what_is_there(self, found: Mapping[PortId, Rows]) -> Mapping[int, set[int]]:
        """Each owner's cookies. When they are asked for, those of ports that are gone are removed."""
        if self._there is None:
            life = self._life
            there = by_owner(await self._openflow.cookies())
            self._check_life(life)
            left = there.keys() - {owner_of(port) for port in found}
            if left:
                log.info("flows of ports that are gone are removed", flows=sum(len(there[owner]) for owner in left))
                stale = [delete_flows(cookie) for owner in sorted(left) for cookie in sorted(there.pop(owner))]
                await self._openflow.send({PortId("gone"): stale}, "removing flows of ports that are gone")
                self._check_life(life)
            self._there = there
        return self._there

    def _now_there(self, flows: Mapping[PortId, Packed]) -> None:
        if self._there is not None:
            self._there |= {owner_of(port): set(wanted) for port, wanted in flows.items()}

    def _check_life(self, life: int) -> None:
        if self._life != life:
            raise Unavailable("the switch was restarted while ports were wired")


@dataclass
class _Work:
    """What plans come to: `messages` to send where something is to be changed, `wanted` the flows of good plans."""

    fitting: list[WirePlan] = field(default_factory=list)
    wanted: dict[PortId, Packed] = field(default_factory=dict)
    messages: dict[PortId, Sequence[Message]] = field(default_factory=dict)
    refused: dict[PortId, str] = field(default_factory=dict)


def _prepared(plans: Sequence[WirePlan], found: Mapping[PortId, Rows], there: Mapping[int, set[int]]) -> _Work:
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
            work.wanted[plan.port] = packed(plan.port, plan.flows)
        except ValueError as error:
            work.refused[plan.port] = f"its flows make no sense: {error}"
            continue
        messages = to_send(work.wanted[plan.port], there.get(owner_of(plan.port), frozenset()))
        if messages:
            work.messages[plan.port] = messages
    return work


def _nobody() -> asyncio.Future[Mapping[PortId, str]]:
    done: asyncio.Future[Mapping[PortId, str]] = asyncio.get_running_loop().create_future()
    done.set_result({})
    return done


def _said(refused: asyncio.Future[Mapping[PortId, str]]) -> None:
    if not refused.cancelled() and refused.exception() is None and refused.result():
        log.warning("the switch refused flows of service ports", refused=dict(refused.result()))
