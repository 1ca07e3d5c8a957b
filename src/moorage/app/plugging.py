"""Many ports at once for the benches: made and bound through the API, then plugged together, each until it is ready."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from moorage.app.private_cloud import Access
from moorage.app.workbench import Workbench
from moorage.domain.errors import Unavailable
from moorage.domain.hops import Fact, Hop, SubFact
from moorage.domain.ids import Generation, PortId, ServerId, device_name
from moorage.domain.port import GENERATION_KEY
from moorage.seams.switch import Vif

CIDR = "10.64.0.0/16"
AT_ONCE = 8  # requests, while ports are made
PATIENCE = 60.0  # seconds for all, and …
PATIENCE_EACH = 0.1  # … for each port besides


@dataclass
class Readiness:
    """When ports were ready, and which have their DHCP reservation, by the facts that tell of it."""

    ready: dict[PortId, float] = field(default_factory=dict)  # monotonic, seconds
    reserved: set[PortId] = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, fact: Fact) -> None:
        if fact.port is None:
            return
        if fact.what is Hop.READY:
            self.ready[fact.port] = fact.monotonic
        elif fact.what is SubFact.DHCP_READY:
            self.reserved.add(fact.port)
        self._changed.set()

    async def until_reserved(self, ports: Sequence[PortId]) -> None:
        """Raises Unavailable when that takes too long."""
        await self._until(lambda: self.reserved.issuperset(ports), len(ports), "have no DHCP reservation")

    async def until_ready(self, ports: Sequence[PortId]) -> None:
        """Raises Unavailable when that takes too long."""
        await self._until(lambda: self.ready.keys() >= set(ports), len(ports), "are not ready")

    async def _until(self, is_so: Callable[[], bool], count: int, what: str) -> None:
        within = PATIENCE + count * PATIENCE_EACH
        try:
            async with asyncio.timeout(within):
                while not is_so():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise Unavailable(f"some of {count} ports {what} after {within:g} s") from None


async def made_ports(access: Access, bench: Workbench, count: int) -> Sequence[Vif]:
    """VIFs of so many ports of a new network, bound to the host, with their devices; nothing is plugged yet."""
    if count == 0:
        return []
    network = (await access.admin.call("POST", "network", "/v2.0/networks", {"network": {"name": "bench"}}))["network"]
    subnet = {"network_id": network["id"], "ip_version": 4, "cidr": CIDR}
    await access.admin.call("POST", "network", "/v2.0/subnets", {"subnet": subnet})
    room = asyncio.Semaphore(AT_ONCE)

    async def one() -> Vif:
        async with room:
            vif = await _bound(access, bench, network["id"])
            await bench.make_device(vif)
            return vif

    return await asyncio.gather(*(one() for _ in range(count)))


async def _bound(access: Access, bench: Workbench, network: str) -> Vif:
    server, generation = ServerId(str(uuid4())), Generation(uuid4().hex)
    wanted = {
        "network_id": network,
        "device_id": server,
        "device_owner": "compute:nova",
        "binding:host_id": bench.name,
        "binding:profile": {GENERATION_KEY: generation},
    }
    port = (await access.admin.call("POST", "network", "/v2.0/ports", {"port": wanted}))["port"]
    if port["binding:vif_type"] != "ovs":
        raise Unavailable(f"port {port['id']} could not be bound to {bench.name}")
    id = PortId(port["id"])
    access.devices.append(device_name(id))
    return Vif(id, server, port["mac_address"], device_name(id), generation)


async def plugged(bench: Workbench, vifs: Sequence[Vif]) -> Mapping[PortId, float]:
    """Plug all at once; when the switch's database had committed each (monotonic, seconds)."""
    loop = asyncio.get_running_loop()
    at: dict[PortId, float] = {}

    async def plug(vif: Vif) -> None:
        await bench.plug(vif)
        at[vif.port] = loop.time()

    async with asyncio.TaskGroup() as group:
        for vif in vifs:
            group.create_task(plug(vif))
    return at
