"""The seam `switch` on a real Open vSwitch: compute's side, the agent's side, and the bridge itself."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Literal, Never

import structlog

from moorage.adapters.openflow.client import OpenFlowClient
from moorage.adapters.openflow.messages import Message
from moorage.adapters.ovsdb import bridge, operations
from moorage.adapters.ovsdb.bridge import Rows
from moorage.adapters.ovsdb.client import Operation, OvsdbClient, Result
from moorage.adapters.ovsdb.flows import delete_port, replace_port, service_flows
from moorage.adapters.ovsdb.session import Refused
from moorage.domain.errors import Conflict, Invalid, Unavailable
from moorage.domain.ids import NetworkId, PortId
from moorage.kit.translating import translating
from moorage.seams.switch import Interface, Vif, WirePlan

log = structlog.get_logger(__name__)

_ATTEMPTS = 4  # at a transaction whose rows somebody else changed meanwhile


class OvsSwitch:
    """Plugging and Wiring on one bridge. Give `run` to a supervisor; `ensure_bridge` makes the bridge.

    `rundir` is where db.sock and the bridge's management socket are. `device` is what a VIF's device is: "internal",
    made by the switch itself when it is plugged, or "tap", which stands in the switch's network namespace already.
    """

    def __init__(
        self,
        rundir: Path,
        *,
        device: Literal["internal", "tap"],
        name: str = "br-int",
        datapath_type: str = "netdev",  # "system" where the kernel has Open vSwitch's module
        database: str | None = None,  # "tcp:HOST:PORT" or "unix:PATH", if it is not rundir's
        timeout: float = 10.0,  # seconds, for each request
        open_timeout: float = 5.0,  # seconds in which the switch must open a service port
    ) -> None:
        self._device = device
        self._name = name
        self._datapath_type = datapath_type
        self._timeout = timeout
        self._open_timeout = open_timeout
        self._ovsdb = OvsdbClient(database or f"unix:{rundir}/db.sock", bridge.COLUMNS, self._changed, timeout=timeout)
        self._openflow = OpenFlowClient(f"{rundir}/{name}.mgmt", self._turned, timeout=timeout)
        self._sent: dict[PortId, tuple[int | None, str]] = {}  # ofport and mark of the flows sent on this connection
        self._watchers: set[asyncio.Event] = set()
        self._epoch = 0  # one more each time that all is to be told anew
        self._life = 0  # one more each time that the bridge's connection was made or lost

    async def run(self) -> Never:
        """Keep both connections until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ovsdb.run(), name="ovsdb")
            group.create_task(self._openflow.run(), name="openflow")
        raise AssertionError("the connections to the switch ended")

    async def ensure_bridge(self) -> None:
        """Make the bridge, on which nothing passes without a flow; repeatable. Raises Unavailable."""
        for _ in range(_ATTEMPTS):
            await self._ovsdb.connected()
            tables = self._ovsdb.replica.tables
            found = bridge.uuid_of(self._ovsdb.replica, self._name)
            if found is not None:
                row = tables["Bridge"][found]
                if (row["datapath_type"], row["fail_mode"]) == (self._datapath_type, "secure"):
                    self._openflow.connect_soon()
                    return
                change = operations.set_bridge(found, self._datapath_type)
            else:
                change = operations.make_bridge(
                    next(iter(tables["Open_vSwitch"]), None), self._name, self._datapath_type
                )
            await self._try(change, f"making bridge {self._name}")
        raise Unavailable(f"making bridge {self._name}: somebody else keeps changing it")

    # Plugging, compute's side

    async def plug(self, vif: Vif) -> None:
        for _ in range(_ATTEMPTS):
            on_bridge = await self._bridge()
            ours = [rows for rows in self._rows() if rows.port_id == vif.port or rows.name == vif.device]
            same = next((rows for rows in ours if rows.name == vif.device), None)
            if ours == [same] and same is not None and bridge.vif(same) == vif:
                return
            change = [operations.remove_port(on_bridge, rows.port) for rows in ours if rows is not same]
            ids, port = operations.external_ids(vif), operations.unwired(vif)
            internal_mac = vif.mac if self._device == "internal" else None
            if same is None:
                change += operations.add_port(on_bridge, vif.device, internal_mac, ids, port)
            else:
                change += operations.change_port(same, internal_mac, ids, port)
            if await self._try(change, f"plugging port {vif.port}"):
                return
        raise Unavailable(f"plugging port {vif.port}: somebody else keeps changing it")

    async def unplug(self, port: PortId) -> None:
        await self._remove(port, f"unplugging port {port}")

    async def plugged(self) -> Mapping[PortId, Vif]:
        await self._ovsdb.catch_up()
        found = [bridge.vif(rows) for rows in self._rows()]
        return {vif.port: vif for vif in found if vif is not None}

    # Wiring, the agent's side

    async def watch(self) -> AsyncGenerator[Mapping[PortId, Interface], None]:
        change = asyncio.Event()
        self._watchers.add(change)
        try:
            told: tuple[int, Mapping[PortId, Interface]] | None = None
            while True:
                change.clear()
                if self._ovsdb.is_up:
                    now = (self._epoch, self._snapshot())
                    if now != told:
                        told = now
                        yield now[1]
                        continue  # there may be news from while the reader was busy
                await change.wait()
        finally:
            self._watchers.discard(change)

    async def look(self) -> Mapping[PortId, Interface]:
        await self._ovsdb.catch_up()
        return self._snapshot()

    async def wire(self, plans: Sequence[WirePlan]) -> Mapping[PortId, str]:
        await self._ovsdb.connected()
        await self._openflow.connected()
        try:
            return await self._wire(plans)
        except (Conflict, Invalid) as error:  # the database refused the whole transaction
            if len(plans) > 1:
                return {port: why for plan in plans for port, why in (await self.wire([plan])).items()}
            await self.unwire([plan.port for plan in plans])
            return {plan.port: error.message for plan in plans}

    async def unwire(self, ports: Sequence[PortId]) -> None:
        unmarked = [rows for rows in self._rows() if rows.port_id in ports and not rows.is_service]
        change = [change for rows in unmarked for change in operations.isolate_any(rows)]
        await self._remove_flows(ports)
        if change:
            await self._ovsdb.transact(change, f"unwiring {len(ports)} ports")

    async def add_service_port(self, port: PortId, device: str, mac: str, vlan: int, network: NetworkId) -> int:
        ids, row = operations.service_ids(port, mac), operations.in_service(port, vlan, network)
        for _ in range(_ATTEMPTS):
            on_bridge = await self._bridge()
            same = next((rows for rows in self._rows() if rows.name == device), None)
            if same is None:
                change = operations.add_port(on_bridge, device, mac, ids, row)
            elif (same.external_ids, same.vlan, same.network) == (ids, vlan, network):
                break
            else:
                change = operations.change_port(same, mac, ids, row)
            if await self._try(change, f"adding service port {port}"):
                break
        ofport = await self._opened(port)
        flows = {port: replace_port(port, service_flows(ofport))}
        refused = await self._openflow.send(flows, f"adding service port {port}")
        if refused:
            raise Unavailable(f"adding service port {port}: {refused[port]}")
        return ofport

    async def remove_service_port(self, port: PortId) -> None:
        await self._remove(port, f"removing service port {port}")
        self._sent.pop(port, None)
        if self._openflow.is_up:  # else its flows are gone with the switch's
            await self._openflow.send({port: [delete_port(port)]}, f"removing service port {port}")

    # How

    async def _wire(self, plans: Sequence[WirePlan]) -> Mapping[PortId, str]:
        life = self._life
        found = self._by_port()
        refused: dict[PortId, str] = {}
        flows: dict[PortId, Sequence[Message]] = {}
        for plan in plans:
            why = bridge.why_not(plan, found.get(plan.port))
            if why is not None:
                refused[plan.port] = why  # and nothing of this port is touched
                continue
            try:
                flows[plan.port] = replace_port(plan.port, plan.flows)
            except ValueError as error:
                flows[plan.port] = [delete_port(plan.port)]
                refused[plan.port] = f"its flows make no sense: {error}"
        fitting = [plan for plan in plans if plan.port in flows]
        tags = [
            change for plan in fitting if plan.port not in refused for change in operations.tag(plan, found[plan.port])
        ]

        _, rejected = await self._both(tags, flows, f"wiring {len(plans)} ports")
        refused |= {port: f"the switch refused its flows: {reason}" for port, reason in rejected.items()}

        proven = [plan for plan in fitting if plan.port not in refused]
        self._check_life(life)
        self._sent |= {plan.port: (plan.ofport, bridge.mark_of(plan)) for plan in proven}
        marks = [operations.mark(plan, found[plan.port]) for plan in proven]
        bad = [plan for plan in fitting if plan.port in refused]
        isolations = [change for plan in bad for change in operations.isolate(plan, found[plan.port])]
        if fitting:
            results = await self._ovsdb.transact(marks + isolations, f"marking {len(plans)} ports as wired")
            unmarked = [plan for plan, result in zip(proven, results, strict=False) if result["count"] == 0]
            refused |= dict.fromkeys(
                [plan.port for plan in unmarked], "it was unplugged, plugged or opened anew meanwhile"
            )
        await self._remove_flows([port for port in refused if port in flows])
        self._check_life(life)
        return refused

    async def _remove_flows(self, ports: Sequence[PortId]) -> None:
        for port in ports:
            self._sent.pop(port, None)
        if ports:
            refused = await self._openflow.send({port: [delete_port(port)] for port in ports}, "removing flows")
            if refused:
                raise Unavailable(f"removing flows: {dict(refused)}")

    def _check_life(self, life: int) -> None:
        if self._life != life:
            raise Unavailable("the switch was restarted while ports were wired")

    async def _both(
        self, change: Sequence[Operation], flows: Mapping[PortId, Sequence[Message]], act: str
    ) -> tuple[list[Result], Mapping[PortId, str]]:
        """The transaction and the batch of flows at once: neither waits for the other."""
        with translating({OSError: Unavailable, Refused: Unavailable}, act):
            async with asyncio.timeout(self._timeout):
                flowing = self._openflow.start(flows)
                return await asyncio.gather(self._ovsdb.start(change), flowing)

    async def _opened(self, port: PortId) -> int:
        why: str | None = None
        try:
            async with asyncio.timeout(self._open_timeout), aclosing(self.watch()) as looks:
                async for look in looks:
                    found = look.get(port)
                    if found is not None and found.ofport is not None:
                        return found.ofport
                    why = found.error if found is not None else "it is not on the bridge"
        except TimeoutError as error:
            raise Unavailable(f"the switch has not opened port {port}: {why or 'no word from it'}") from error
        raise AssertionError("the watch ended")

    async def _remove(self, port: PortId, act: str) -> None:
        on_bridge = await self._bridge()
        ours = [rows for rows in self._rows() if rows.port_id == port]
        if not ours:  # as far as we have heard
            await self._ovsdb.catch_up()
            ours = [rows for rows in self._rows() if rows.port_id == port]
        if ours:
            await self._ovsdb.transact([operations.remove_port(on_bridge, rows.port) for rows in ours], act)

    async def _try(self, change: Sequence[Operation], act: str) -> bool:
        """Whether all was changed; if not, the replica has caught up with whoever was faster."""
        try:
            results = await self._ovsdb.transact(change, act)
            if all(result.get("count", 1) for result in results):
                return True
        except Conflict as error:
            log.info("somebody else changed the switch's database; looking again", act=act, error=error.message)
        await self._ovsdb.catch_up()
        return False

    async def _bridge(self) -> str:
        await self._ovsdb.connected()
        found = bridge.uuid_of(self._ovsdb.replica, self._name)
        if found is None:
            raise Unavailable(f"there is no bridge {self._name}")
        return found

    def _rows(self) -> list[Rows]:
        return list(bridge.on(self._ovsdb.replica, self._name))

    def _by_port(self) -> dict[PortId, Rows]:
        """Each port's rows; of several with one iface-id (a guest moves here), those that are open."""
        found: dict[PortId, Rows] = {}
        for rows in self._rows():
            port = rows.port_id
            if port is not None and (port not in found or found[port].ofport is None):
                found[port] = rows
        return found

    def _snapshot(self) -> Mapping[PortId, Interface]:
        return {port: bridge.interface(port, rows, self._sent.get(port)) for port, rows in self._by_port().items()}

    def _changed(self, anew: bool) -> None:
        self._epoch += anew
        self._serve()
        self._wake()

    def _turned(self, is_up: bool) -> None:
        """The bridge came or went: whatever was wired may not be so any more."""
        self._epoch += 1
        self._life += 1
        self._sent.clear()
        if is_up:
            self._serve()
        self._wake()

    def _serve(self) -> None:
        """Send the flows of service ports that the switch has opened (again)."""
        if not self._openflow.is_up:
            return
        for rows in self._rows():
            port, sent = rows.port_id, (rows.ofport, bridge.WIRED_WITHOUT_GENERATION)
            if port is None or not rows.is_service or rows.ofport is None or self._sent.get(port) == sent:
                continue
            with suppress(ConnectionError):  # we are called again when the connection is made again
                self._openflow.start({port: replace_port(port, service_flows(rows.ofport))}).add_done_callback(_said)
                self._sent[port] = sent

    def _wake(self) -> None:
        for watcher in self._watchers:
            watcher.set()


def _said(refused: asyncio.Future[Mapping[PortId, str]]) -> None:
    if not refused.cancelled() and refused.exception() is None and refused.result():
        log.warning("the switch refused flows of service ports", refused=dict(refused.result()))
