"""Hop wired on a real bridge: plans are carried out, and we know which of them still hold."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import structlog

from moorage.adapters.openflow.client import OpenFlowClient
from moorage.adapters.openflow.messages import Message
from moorage.adapters.ovsdb import bridge, operations
from moorage.adapters.ovsdb.bridge import Rows
from moorage.adapters.ovsdb.client import Operation, OvsdbClient, Result
from moorage.adapters.ovsdb.flows import delete_port, replace_port, service_flows
from moorage.adapters.ovsdb.session import Refused
from moorage.domain.errors import Conflict, Invalid, Unavailable
from moorage.domain.ids import PortId
from moorage.kit.translating import translating
from moorage.seams.switch import WirePlan

log = structlog.get_logger(__name__)


class Wires:
    """`sent` has the ofport and the mark of each port whose flows were sent on the present connection to the bridge."""

    def __init__(self, ovsdb: OvsdbClient, openflow: OpenFlowClient, timeout: float) -> None:
        self.sent: dict[PortId, tuple[int | None, str]] = {}
        self._ovsdb = ovsdb
        self._openflow = openflow
        self._timeout = timeout
        self._life = 0  # one more each time that the connection was made or lost

    def forget(self) -> None:
        """The connection was made or lost: vswitchd may have been restarted, without any flow."""
        self._life += 1
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
            refused = await self._openflow.send({port: [delete_port(port)] for port in ports}, "removing flows")
            if refused:
                raise Unavailable(f"removing flows: {dict(refused)}")

    def serve(self, found: Iterable[Rows]) -> None:
        """Send the flows of ports of our own that the switch has opened (again), and wait for nothing."""
        if not self._openflow.is_up:
            return
        for rows in found:
            port, sent = rows.port_id, (rows.ofport, bridge.WIRED_WITHOUT_GENERATION)
            if port is None or not rows.is_service or rows.ofport is None or self.sent.get(port) == sent:
                continue
            with suppress(ConnectionError):  # we are called again when the connection is made again
                self._openflow.start({port: replace_port(port, service_flows(rows.ofport))}).add_done_callback(_said)
                self.sent[port] = sent

    async def serve_proven(self, port: PortId, ofport: int) -> None:
        """Returns when the switch has the flows of a port of our own. Raises Unavailable."""
        refused = await self._openflow.send({port: replace_port(port, service_flows(ofport))}, f"serving port {port}")
        if refused:
            raise Unavailable(f"serving port {port}: {refused[port]}")

    async def _wire(self, plans: Sequence[WirePlan], found: Mapping[PortId, Rows]) -> Mapping[PortId, str]:
        life = self._life
        flows, refused = _prepared(plans, found)
        fitting = [plan for plan in plans if plan.port in flows]
        good = [plan for plan in fitting if plan.port not in refused]
        tags = [change for plan in good for change in operations.tag(plan, found[plan.port])]

        rejected = await self._both(tags, flows, f"wiring {len(plans)} ports")
        self._check_life(life)
        refused |= {port: f"the switch refused its flows: {reason}" for port, reason in rejected.items()}

        proven = [plan for plan in good if plan.port not in refused]
        bad = [plan for plan in fitting if plan.port in refused]
        self.sent |= {plan.port: (plan.ofport, bridge.mark_of(plan)) for plan in proven}
        marks = [operations.mark(plan, found[plan.port]) for plan in proven]
        isolations = [change for plan in bad for change in operations.isolate(plan, found[plan.port])]
        if fitting:
            results = await self._ovsdb.transact(marks + isolations, f"marking {len(plans)} ports as wired")
            late = [plan.port for plan, result in zip(proven, results, strict=False) if result["count"] == 0]
            refused |= dict.fromkeys(late, "it was unplugged, plugged or opened anew meanwhile")
        await self.remove_flows([port for port in refused if port in flows])
        self._check_life(life)
        return refused

    async def _both(
        self, change: Sequence[Operation], flows: Mapping[PortId, Sequence[Message]], act: str
    ) -> Mapping[PortId, str]:
        """The transaction and the batch of flows at once, neither waiting for the other: whose flows were refused."""
        with translating({OSError: Unavailable, Refused: Unavailable}, act):
            async with asyncio.timeout(self._timeout):
                flowing = self._openflow.start(flows)
                tagging: asyncio.Future[list[Result]] = self._ovsdb.start(change)
                _, rejected = await asyncio.gather(tagging, flowing)
                return rejected

    def _check_life(self, life: int) -> None:
        if self._life != life:
            raise Unavailable("the switch was restarted while ports were wired")


def _prepared(
    plans: Sequence[WirePlan], found: Mapping[PortId, Rows]
) -> tuple[dict[PortId, Sequence[Message]], dict[PortId, str]]:
    """The messages to send for each port, and the ports that cannot be wired.

    Of a plan that does not fit the port as it is nothing is sent: another one is right. Of a plan whose flows make no
    sense the old flows are removed.
    """
    flows: dict[PortId, Sequence[Message]] = {}
    refused: dict[PortId, str] = {}
    for plan in plans:
        why = bridge.why_not(plan, found.get(plan.port))
        if why is not None:
            refused[plan.port] = why
            continue
        try:
            flows[plan.port] = replace_port(plan.port, plan.flows)
        except ValueError as error:
            flows[plan.port] = [delete_port(plan.port)]
            refused[plan.port] = f"its flows make no sense: {error}"
    return flows, refused


def _said(refused: asyncio.Future[Mapping[PortId, str]]) -> None:
    if not refused.cancelled() and refused.exception() is None and refused.result():
        log.warning("the switch refused flows of service ports", refused=dict(refused.result()))
