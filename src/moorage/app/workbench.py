"""What benches have in hand of a cloud's first host beyond what the APIs show: its switch, its devices, its facts."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from moorage.app.config import HostKind
from moorage.app.control_plane import ControlPlane
from moorage.app.hosts import Host
from moorage.domain.hops import Fact
from moorage.domain.ids import PortId, ServerId
from moorage.domain.port import Mark, PortStatus
from moorage.seams.hypervisor import Guest, GuestImage, Nic
from moorage.seams.switch import FLOW_BATCH, TRANSACTION, Vif
from moorage.seams.world import World


class Workbench:
    def __init__(self, kind: HostKind, host: Host, plane: ControlPlane) -> None:
        self.name = host.equipment.name
        self.plug = host.equipment.plugging.plug
        self._kind = kind
        self._host = host
        self._plane = plane

    @property
    def world(self) -> World | None:
        """None where hosts are simulated."""
        return self._host.equipment.world

    @property
    def transactions(self) -> int:
        """Those that the host's agents have sent to the switch's database, ever."""
        return self._host.equipment.sent[TRANSACTION]

    @property
    def flow_batches(self) -> int:
        """Those that the host's agents have sent to the switch, ever."""
        return self._host.equipment.sent[FLOW_BATCH]

    async def stop_compute(self) -> None:
        """Let compute rest for good on this host: it would clear away VIFs of servers that have no record."""
        await self._host.slot.stop()

    async def make_device(self, vif: Vif) -> None:
        """A VIF's device as the host's kind has it, with a guest that is held where that costs next to nothing."""
        world = self.world
        if self._kind is HostKind.QEMU and world is not None:
            await world.make_tap(vif.device)
            return
        nic = Nic(vif.port, vif.mac, vif.device)
        await self._host.equipment.hypervisor.create_stopped(Guest(vif.server, "bench", 1, 1, 0, GuestImage(), (nic,)))

    @contextmanager
    def listening(self, listener: Callable[[Fact], None]) -> Iterator[None]:
        """Hear every fact, for the length of a `with`."""
        listeners = self._plane.observed.listeners
        listeners.append(listener)
        try:
            yield
        finally:
            listeners.remove(listener)

    async def reported(self) -> Mapping[PortId, Mark]:
        """The ports of servers here that are ACTIVE, each with its agent's last report that counted."""
        found = await self._plane.network.store.ports(None, host=self.name)
        return {
            port.id: port.last_mark
            for port in found
            if port.status is PortStatus.ACTIVE and port.device_owner.startswith("compute:") and port.last_mark
        }

    async def network_of(self, server: str) -> str:
        return (await self._plane.compute.store.show(ServerId(server), project=None)).nics[0].network
