"""Which flows the bridge has: asked once on each connection, and kept up from then on."""

import asyncio
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress

import structlog

from moorage.adapters.openflow.client import OpenFlowClient
from moorage.adapters.openflow.messages import Message, delete_flows
from moorage.adapters.ovsdb.flows import Packed, by_port, new_of, packed_shared, prefix_of
from moorage.domain.ids import PortId
from moorage.seams.flow import Flow
from moorage.seams.switch import Shared

log = structlog.get_logger(__name__)

AT_ONCE = 128  # flows: 5 ms to pack


class Standing:
    """So an agent that was restarted sends nothing that the bridge has; one whose bridge was restarted sends all."""

    def __init__(self, openflow: OpenFlowClient) -> None:
        self._openflow = openflow
        self._ports: dict[int, set[int]] | None = None  # cookies by the ports' prefixes; None: to be asked
        self._others: set[int] = set()  # cookies of shared flows that were there when we asked
        self._shared: dict[str, tuple[tuple[Flow, ...], Packed]] = {}  # by name, as they were sent since
        self._packed: dict[str, tuple[tuple[Flow, ...], Packed]] = {}  # by name, to be sent

    def forget(self) -> None:
        """It may have other flows than we know of."""
        self._ports = None

    async def look(self, ports: Collection[PortId]) -> None:
        """Ask, if that is to be asked, and remove the flows of ports that are not among these. Raises Unavailable."""
        if self._ports is not None:
            return
        found, others = by_port(await self._openflow.cookies())
        left = found.keys() - {prefix_of(port) for port in ports}
        if left:
            log.info("flows of ports that are gone are removed", flows=sum(len(found[port]) for port in left))
            stale = [delete_flows(cookie) for port in sorted(left) for cookie in sorted(found.pop(port))]
            await self._openflow.send({"gone": stale}, "removing flows of ports that are gone")
        self._packed = self._shared | self._packed  # they are to be sent again
        self._ports, self._others, self._shared = found, others, {}

    def of(self, port: PortId) -> AbstractSet[int]:
        """The cookies of a port's flows."""
        assert self._ports is not None
        return self._ports.get(prefix_of(port), set())

    def now_of(self, port: PortId, flows: Packed) -> None:
        """The port has these."""
        if self._ports is not None:
            self._ports[prefix_of(port)] = set(flows)

    async def pack(self, shared: Shared) -> None:
        """Have ready what `change` will need, in pieces: others have their turn in between."""
        self._packed = {name: of for name, of in self._packed.items() if shared.flows.get(name) is of[0]}
        packed = 0
        for name, flows in shared.flows.items():
            if self._is(self._shared, name, flows) or name in self._packed:
                continue
            with suppress(ValueError):  # `change` tells of it
                self._packed[name] = flows, packed_shared(flows)
            packed += len(flows)
            if packed >= AT_ONCE:
                packed = 0
                await asyncio.sleep(0)

    def change(self, shared: Shared) -> "Change":
        """What is to be sent so that the shared flows are these."""
        change = Change(shared)
        gone = set(self._others) if shared.is_all else set[int]()
        for name, flows in shared.flows.items():
            if self._is(self._shared, name, flows):
                continue
            before = self._shared.get(name)
            try:
                wanted = self._packed[name][1] if self._is(self._packed, name, flows) else packed_shared(flows)
            except ValueError as error:
                log.error("flows that ports share make no sense", name=name, error=str(error))
                continue
            change.packed[name] = flows, wanted
            there = self._others if before is None else before[1].keys()
            if new := new_of(wanted, there):
                change.new[f"shared: {name}"] = new
            gone.update(() if before is None else before[1])
        for name in self._shared.keys() - shared.flows.keys() if shared.is_all else ():
            gone.update(self._shared[name][1])
        for name in shared.flows.keys() & {*self._shared, *change.packed} if gone else ():
            gone.difference_update((change.packed.get(name) or self._shared[name])[1])
        change.gone = [delete_flows(cookie) for cookie in sorted(gone)]
        return change

    def changed(self, change: "Change") -> None:
        """It was carried out."""
        if change.shared.is_all:
            self._shared = {name: of for name, of in self._shared.items() if name in change.shared.flows}
            self._others = set()
        self._shared |= change.packed
        self._packed.clear()

    @staticmethod
    def _is(there: Mapping[str, tuple[tuple[Flow, ...], Packed]], name: str, flows: tuple[Flow, ...]) -> bool:
        return name in there and there[name][0] is flows


class Change:
    """Messages: `new` to be sent before those of ports, `gone` after them."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.packed: dict[str, tuple[tuple[Flow, ...], Packed]] = {}
        self.new: dict[str, list[Message]] = {}
        self.gone: list[Message] = []
