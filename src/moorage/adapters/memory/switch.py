"""A simulated virtual switch, both its sides (hops plugged, seen, wired): it behaves as Open vSwitch does, late too."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace

from moorage.adapters.memory.changes import Changes
from moorage.adapters.memory.flow_sense import nonsense, nonsense_of
from moorage.adapters.memory.struck import Struck
from moorage.domain.errors import Unavailable
from moorage.domain.ids import Generation, NetworkId, PortId
from moorage.seams.flow import Flow
from moorage.seams.switch import DEAD_VLAN, FLOW_BATCH, TRANSACTION, Interface, Shared, Vif, WirePlan

FIRST_OFPORT, LAST_OFPORT = 1, 65279


class MemorySwitch:
    """The switch of one host. It is the world: it outlives the compute service and the agent that use it.

    Fulfils Plugging and Wiring. Each call takes its latency first and then happens all at once, so that one that is
    cancelled has done nothing. Faults are settings: `refuse_device`, `refuse_flows`, `database_down`,
    `stop_switch()`, `restart()`.
    """

    def __init__(
        self,
        *,
        plug: float = 0.0005,  # seconds, as all here
        ofport: float = 0.001,  # from the row's commit until the device is open
        wire: float = 0.0005,  # for a whole batch of plans
        open_timeout: float = 5.0,  # how long a service port is waited for
        refuse_device: float = 0.0,  # share of the ports, as below
        refuse_flows: float = 0.0,
    ) -> None:
        self.sent: Counter[str] = Counter()  # by its agents, as Open vSwitch would be sent it
        self._plug_latency = plug
        self._ofport_latency = ofport
        self._wire_latency = wire
        self._open_timeout = open_timeout
        self._vifs: dict[PortId, Vif] = {}
        self._rows: dict[PortId, Interface] = {}
        self._flows: dict[PortId, tuple[Flow, ...]] = {}
        self._shared: dict[str, tuple[Flow, ...]] = {}
        self._wired_at: dict[PortId, float] = {}
        self._opening: dict[PortId, asyncio.TimerHandle] = {}
        self._next_ofport = FIRST_OFPORT
        self._is_database_down = False
        self._database_starts = 0
        self._is_switch_down = False
        self.changes = Changes()
        self.refuse_device = Struck(refuse_device)
        """Ports whose devices the switch cannot open: no ofport, and OVS's own words in `error`.

        As in OVS it is tried again when the port is plugged anew, and after a restart.
        """
        self.refuse_flows = Struck(refuse_flows)
        """Ports that cannot be wired: the switch answers their flows with an error."""

    # The world as it is, for other parts of it and for tests

    def interface(self, port: PortId) -> Interface | None:
        """A port as it is now, also while the database is down."""
        return self._rows.get(port)

    def service_port(self, device: str) -> Interface | None:
        """The port of our own that has this device."""
        return next((row for row in self._rows.values() if row.is_service and row.device == device), None)

    def flows(self, port: PortId) -> tuple[Flow, ...]:
        """The flows that the last wiring of this port left."""
        return self._flows.get(port, ())

    def shared_flows(self) -> Mapping[str, tuple[Flow, ...]]:
        """The flows that are no server port's own."""
        return self._shared

    def wired_at(self, port: PortId) -> float:
        """When the newest of the port's flows came, by the loop's clock."""
        return self._wired_at[port]

    # Faults, and what others do

    def plugged_by_another(self, port: PortId, device: str, mac: str) -> None:
        """Somebody who knows no generations (a real Nova) plugs a VIF."""
        self._rows[port] = Interface(port=port, device=device, mac=mac, ofport=None, vlan=None)
        self._open(port)
        self.changes.tell()

    def retagged_by_another(self, port: PortId, vlan: int) -> None:
        """Somebody sets the port's VLAN, as `ovs-vsctl` can."""
        self._rows[port] = replace(self._rows[port], vlan=vlan)
        self.changes.tell()

    @property
    def database_down(self) -> bool:
        """While true every call raises Unavailable and watchers hear nothing; the packets flow on."""
        return self._is_database_down

    @database_down.setter
    def database_down(self, is_down: bool) -> None:
        self._is_database_down = is_down
        if not is_down:
            self._database_starts += 1
            self._open_the_rest()
            self.changes.tell()

    def stop_switch(self) -> None:
        """vswitchd ends: rows, VLANs and ofports stay in the database; flows are gone, and nothing is wired."""
        self._is_switch_down = True
        self._flows.clear()
        self._shared = {}
        for timer in self._opening.values():
            timer.cancel()
        self._opening.clear()
        for port, row in self._rows.items():
            self._rows[port] = replace(row, wired=None)
        self.changes.tell()

    def start_switch(self, *, is_renumbering: bool = True) -> None:
        """vswitchd starts and opens its ports again; as a rule it gives them the ofports that they had."""
        self._is_switch_down = False
        for port, row in self._rows.items():
            kept = None if is_renumbering else row.ofport
            self._rows[port] = self._serve(replace(row, ofport=kept, error=None))
        self._open_the_rest()
        self.changes.tell()

    def restart(self) -> None:
        """vswitchd starts anew, in the worst case: nothing is wired any more, ofports are given anew."""
        self.stop_switch()
        self.start_switch()

    # Plugging

    async def plug(self, vif: Vif) -> None:
        await self._reach(self._plug_latency, f"plugging port {vif.port}")
        before = self._vifs.get(vif.port)
        if before == vif:
            return
        self._vifs[vif.port] = vif
        row = self._rows.get(vif.port)
        self._rows[vif.port] = Interface(
            port=vif.port,
            device=vif.device,
            mac=vif.mac,
            ofport=row.ofport if row is not None and row.device == vif.device else None,
            vlan=DEAD_VLAN,
            generation=vif.generation,
        )
        self._open(vif.port)
        self.changes.tell()

    async def unplug(self, port: PortId) -> None:
        await self._reach(self._plug_latency, f"unplugging port {port}")
        self._remove(port)

    async def wired(self, port: PortId) -> Generation | None:
        await self._reach(0.0, f"looking at port {port}")
        row = self._rows.get(port)
        return Generation(row.wired) if row is not None and row.wired else None

    async def plugged(self) -> Mapping[PortId, Vif]:
        await self._reach(0.0, "listing the plugged ports")
        return dict(self._vifs)

    # Wiring

    async def watch(self) -> AsyncIterator[Mapping[PortId, Interface]]:
        told: tuple[int, Mapping[PortId, Interface]] | None = None
        while True:
            seen = self.changes.count
            now = (self._database_starts, dict(self._rows))
            if not self._is_database_down and now != told:
                told = now
                yield now[1]
            await self.changes.after(seen)

    async def look(self) -> Mapping[PortId, Interface]:
        await self._reach(0.0, "looking at the switch")
        return dict(self._rows)

    async def wire(self, plans: Sequence[WirePlan], shared: Shared | None = None) -> Mapping[PortId, str]:
        await self._reach(self._wire_latency, "wiring ports")
        self._check_switch("wiring ports")
        self.sent[FLOW_BATCH] += 1
        self.sent[TRANSACTION] += 2  # the tags, and the marks of those that are proven
        failed: dict[PortId, str] = {}
        self._share(shared)
        for plan in plans:
            row = self._rows.get(plan.port)
            if row is None:
                failed[plan.port] = "it is not on the switch"
            elif (why := plan.misfit(row.generation, row.ofport)) is not None:
                failed[plan.port] = why
            elif (why := self._refusal(plan)) is not None:
                failed[plan.port] = why
                self._isolate(row)
            else:
                if set(plan.flows) - set(self.flows(plan.port)):
                    self._wired_at[plan.port] = asyncio.get_running_loop().time()
                self._flows[plan.port] = plan.flows
                wired = plan.generation or "-"
                self._rows[plan.port] = replace(row, vlan=plan.vlan, network=plan.network, wired=wired)
        self.changes.tell()
        return failed

    async def unwire(self, ports: Sequence[PortId], shared: Shared | None = None) -> None:
        await self._reach(self._wire_latency, "unwiring ports")
        self._check_switch("unwiring ports")
        self.sent[FLOW_BATCH] += 1
        self.sent[TRANSACTION] += 1
        self._share(shared)
        for port in ports:
            row = self._rows.get(port)
            if row is not None and not row.is_service:
                self._isolate(row)
        self.changes.tell()

    async def add_service_port(self, port: PortId, device: str, mac: str, vlan: int, network: NetworkId) -> int:
        await self._reach(self._plug_latency, f"adding service port {port}")
        row = self._rows.get(port)
        if row is None or row.device != device:
            row = Interface(port=port, device=device, mac=mac, ofport=None, vlan=vlan, is_service=True)
        row = self._serve(replace(row, mac=mac, vlan=vlan, network=network, error=None))
        if row != self._rows.get(port):
            self._rows[port] = row
            self._open(port)
            self.changes.tell()
        return await self._opened(port)

    async def remove_service_port(self, port: PortId) -> None:
        await self._reach(self._plug_latency, f"removing service port {port}")
        self._remove(port)

    # Inside

    async def _reach(self, latency: float, act: str) -> None:
        """Come to the database and back; every change happens after it, in one go."""
        self._check_database(act)
        await asyncio.sleep(latency)
        self._check_database(act)

    def _check_database(self, act: str) -> None:
        if self._is_database_down:
            raise Unavailable(f"{act}: the switch's database does not answer")

    def _check_switch(self, act: str) -> None:
        if self._is_switch_down:
            raise Unavailable(f"{act}: the switch does not answer")

    def _refusal(self, plan: WirePlan) -> str | None:
        """What the switch says against a plan that fits its port, None when it takes it."""
        if plan.port in self.refuse_flows:
            return "the switch refused its flows: OFPFMFC_TABLE_FULL"
        return nonsense(plan)

    def _serve(self, row: Interface) -> Interface:
        """The row of a port of our own says so when it is open. Others are as they were."""
        if not row.is_service or row.ofport is None or self._is_switch_down:
            return row
        return replace(row, wired="-")

    def _share(self, shared: Shared | None) -> None:
        if shared is not None:
            kept = {} if shared.is_all else self._shared
            self._shared = kept | {
                name: flows
                for name, flows in shared.flows.items()
                if flows == self._shared.get(name) or not any(map(nonsense_of, flows))
            }

    def _isolate(self, row: Interface) -> None:
        self._flows.pop(row.port, None)
        self._wired_at.pop(row.port, None)
        self._rows[row.port] = replace(row, vlan=DEAD_VLAN, wired=None)

    def _remove(self, port: PortId) -> None:
        if self._rows.pop(port, None) is None:
            return
        self._vifs.pop(port, None)
        self._flows.pop(port, None)
        self._wired_at.pop(port, None)
        if port in self._opening:
            self._opening.pop(port).cancel()
        self.changes.tell()

    def _open_the_rest(self) -> None:
        for port in self._rows:
            self._open(port)

    def _open(self, port: PortId) -> None:
        """Let vswitchd open the device, in its own time."""
        if self._rows[port].ofport is None and not self._is_switch_down:
            if port in self._opening:
                self._opening.pop(port).cancel()
            self._opening[port] = _later(self._ofport_latency, lambda: self._is_open(port))

    def _is_open(self, port: PortId) -> None:
        del self._opening[port]
        if self._is_database_down:
            return  # nobody to tell: told when the database is back
        row = self._rows[port]
        if port in self.refuse_device:
            error = f"could not open network device {row.device} (No such device)"
            self._rows[port] = replace(row, error=error)
        else:
            self._rows[port] = self._serve(replace(row, ofport=self._free_ofport(), error=None))
        self.changes.tell()

    def _free_ofport(self) -> int:
        """The next number that no port has: OVS, too, gives a number that was freed not at once again."""
        taken = {row.ofport for row in self._rows.values()}
        for _ in range(FIRST_OFPORT, LAST_OFPORT + 1):
            number = self._next_ofport
            self._next_ofport = number + 1 if number < LAST_OFPORT else FIRST_OFPORT
            if number not in taken:
                return number
        raise AssertionError("a simulated switch has more ports than OpenFlow has numbers")

    async def _opened(self, port: PortId) -> int:
        """The port's ofport, once it has one."""
        try:
            async with asyncio.timeout(self._open_timeout):
                while True:
                    seen = self.changes.count
                    row = self._rows.get(port)
                    if row is not None and row.ofport is not None:
                        return row.ofport
                    await self.changes.after(seen)
        except TimeoutError as error:
            row = self._rows.get(port)
            why = (row.error if row is not None else "it was removed") or "no word from it"
            raise Unavailable(f"the switch has not opened port {port}: {why}") from error


def _later(seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(seconds, call)
