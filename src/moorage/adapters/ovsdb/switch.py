"""The seam `switch` on a real Open vSwitch: compute's side, the agent's side, and the bridge itself."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Literal, Never

import structlog

from moorage.adapters.openflow.client import OpenFlowClient
from moorage.adapters.ovsdb import bridge, operations
from moorage.adapters.ovsdb.bridge import Rows
from moorage.adapters.ovsdb.client import Operation, OvsdbClient
from moorage.adapters.ovsdb.control import Control
from moorage.adapters.ovsdb.leaving import Leaving
from moorage.adapters.ovsdb.wires import Wires
from moorage.domain.errors import Conflict, Unavailable
from moorage.domain.ids import Generation, NetworkId, PortId
from moorage.seams.switch import FLOW_BATCH, TRANSACTION, Interface, Shared, Vif, WirePlan

log = structlog.get_logger(__name__)

_ATTEMPTS = 4  # at a transaction whose rows somebody else changed meanwhile


class OvsSwitch:
    """Plugging and Wiring on one bridge. Give `run` to a supervisor; `ensure_bridge` makes the bridge.

    `rundir` is where db.sock and the bridge's management socket are. Devices (a tap, or the end of a cable) are made by
    whom they are for, in the switch's network namespace: they outlive ovs-vswitchd.
    """

    def __init__(
        self,
        rundir: Path,
        *,
        name: str = "br-int",
        datapath_type: str = "netdev",  # "system" where the kernel has Open vSwitch's module
        fail_mode: Literal["secure", "standalone"] = "secure",  # standalone: it switches by itself, without any flow
        database: str | None = None,  # "tcp:HOST:PORT" or "unix:PATH", if it is not rundir's
        timeout: float = 10.0,  # seconds, for each request
        open_timeout: float = 5.0,  # seconds in which the switch must open a service port
        connections: int = 65_536,  # that a port's zone may hold; Open vSwitch's table holds 3,000,000
        sent: Counter[str] | None = None,  # counts what is sent, by seams.switch's words
    ) -> None:
        sent = Counter() if sent is None else sent
        self._name = name
        self._datapath_type = datapath_type
        self._fail_mode = fail_mode
        self._open_timeout = open_timeout
        self._ovsdb = OvsdbClient(
            database or f"unix:{rundir}/db.sock",
            bridge.COLUMNS,
            self._changed,
            timeout=timeout,
            on_sent=partial(_count, sent, TRANSACTION),
        )
        self._openflow = OpenFlowClient(
            f"{rundir}/{name}.mgmt", self._turned, timeout=timeout, on_sent=partial(_count, sent, FLOW_BATCH)
        )
        self._wires = Wires(self._ovsdb, self._openflow, Control(rundir), connections, timeout)
        self._leaving = Leaving(lambda: bridge.carried_out(self._ovsdb.replica), patience=open_timeout)
        self._watchers: set[asyncio.Event] = set()
        self._epoch = 0  # one more each time that all is to be told anew

    async def run(self) -> Never:
        """Keep both connections until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ovsdb.run(), name="ovsdb")
            group.create_task(self._openflow.run(), name="openflow")
        raise AssertionError("the connections to the switch ended")

    async def ensure_bridge(self) -> None:
        """Make the bridge; a secure one passes nothing without a flow. Repeatable. Raises Unavailable."""
        for _ in range(_ATTEMPTS):
            await self._ovsdb.connected()
            tables = self._ovsdb.replica.tables
            found = bridge.uuid_of(self._ovsdb.replica, self._name)
            if found is not None:
                row = tables["Bridge"][found]
                if (row["datapath_type"], row["fail_mode"]) == (self._datapath_type, self._fail_mode):
                    self._openflow.connect_soon()
                    return
                change = operations.set_bridge(found, self._datapath_type, self._fail_mode)
            else:
                root = next(iter(tables["Open_vSwitch"]), None)
                change = operations.make_bridge(root, self._name, self._datapath_type, self._fail_mode)
            await self._try(change, f"making bridge {self._name}")
        raise Unavailable(f"making bridge {self._name}: somebody else keeps changing it")

    async def add_uplink(self, device: str) -> None:
        """Join a network that carries every VLAN, by a device that is there already; repeatable. Raises Unavailable."""
        port, ids = PortId(device), operations.service_ids(PortId(device), "")
        for _ in range(_ATTEMPTS):
            on_bridge = await self._bridge()
            if any(rows.name == device for rows in self._rows()):
                break
            if await self._try(operations.add_port(on_bridge, device, ids, {}), f"adding uplink {device}"):
                break
        await self._opened(port)

    async def check(self) -> None:
        """Raises Unavailable unless the database answers, the bridge is there and the switch itself serves it."""
        await self._bridge()
        await self._openflow.connected()

    # Plugging, compute's side

    async def plug(self, vif: Vif) -> None:
        for _ in range(_ATTEMPTS):
            on_bridge = await self._bridge()
            ours = [rows for rows in self._rows() if rows.port_id == vif.port or rows.name == vif.device]
            same = next((rows for rows in ours if rows.name == vif.device), None)
            if ours == [same] and same is not None and same.port_id == vif.port and bridge.vif(same) == vif:
                return
            change = [operations.remove_port(on_bridge, rows.port) for rows in ours if rows is not same]
            ids, port = operations.external_ids(vif), operations.unwired(vif)
            if same is None:
                await self._leaving.gone(vif.device)
                change += operations.add_port(on_bridge, vif.device, ids, port)
            else:
                change += operations.change_port(same, ids, port)
            if await self._try(change, f"plugging port {vif.port}"):
                return
        raise Unavailable(f"plugging port {vif.port}: somebody else keeps changing it")

    async def unplug(self, port: PortId) -> None:
        await self._remove(port, f"unplugging port {port}", service=False)

    async def wired(self, port: PortId) -> Generation | None:
        await self._ovsdb.catch_up()
        marks = [rows.external_ids.get("moorage-wired") for rows in self._rows() if rows.port_id == port]
        return next((Generation(mark) for mark in marks if mark), None)

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

    async def wire(self, plans: Sequence[WirePlan], shared: Shared | None = None) -> Mapping[PortId, str]:
        await self._ovsdb.connected()
        await self._openflow.connected()
        await self._wires.prepare(shared)
        return await self._wires.wire(plans, shared, self._by_port())

    async def unwire(self, ports: Sequence[PortId], shared: Shared | None = None) -> None:
        await self._wires.prepare(shared)
        await self._wires.unwire(ports, shared, self._by_port())

    async def add_service_port(self, port: PortId, device: str, mac: str, vlan: int, network: NetworkId) -> int:
        ids, row = operations.service_ids(port, mac), operations.in_service(port, vlan, network)
        for _ in range(_ATTEMPTS):
            on_bridge = await self._bridge()
            same = next((rows for rows in self._rows() if rows.name == device), None)
            if same is None:
                change = operations.add_port(on_bridge, device, ids, row)
            elif (same.external_ids, same.vlan, same.network) == (ids, vlan, network):
                break
            else:
                change = operations.change_port(same, ids, row)
            if await self._try(change, f"adding service port {port}"):
                break
        else:
            raise Unavailable(f"adding service port {port}: somebody else keeps changing it, or VLAN {vlan} cannot be")
        return await self._opened(port)

    async def remove_service_port(self, port: PortId) -> None:
        await self._remove(port, f"removing service port {port}", service=True)

    # How

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

    async def _remove(self, port: PortId, act: str, *, service: bool) -> None:
        on_bridge = await self._bridge()
        if port not in self._by_port():  # as far as we have heard
            await self._ovsdb.catch_up()
        ours = [rows for rows in self._rows() if rows.port_id == port and rows.is_service == service]
        if ours:
            change = [operations.remove_port(on_bridge, rows.port) for rows in ours]
            results = await self._ovsdb.transact([*change, *operations.next_configuration()], act)
            self._leaving.left([rows.name for rows in ours], operations.configuration_of(results))

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
        return {
            port: bridge.interface(port, rows, self._wires.sent.get(port)) for port, rows in self._by_port().items()
        }

    def _changed(self, anew: bool) -> None:
        self._epoch += anew
        self._wake()

    def _turned(self, _is_up: bool) -> None:
        """The bridge came or went: whatever was wired may not be so any more."""
        self._epoch += 1
        self._wires.forget()
        self._wake()

    def _wake(self) -> None:
        self._leaving.changed()
        for watcher in self._watchers:
            watcher.set()


def _count(sent: Counter[str], what: str) -> None:
    sent[what] += 1
