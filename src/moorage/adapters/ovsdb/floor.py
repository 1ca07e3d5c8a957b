"""The bare handshake, for comparison: what Open vSwitch itself takes, with our clients and nothing of our services."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Network
from pathlib import Path
from typing import Never
from uuid import uuid4

from moorage.adapters.openflow.client import OpenFlowClient
from moorage.adapters.ovsdb import bridge, operations
from moorage.adapters.ovsdb.client import OvsdbClient
from moorage.adapters.ovsdb.flows import delete_all, packed
from moorage.domain.errors import Unavailable
from moorage.domain.ids import PortId
from moorage.seams.flow import Flow, Match, Normal
from moorage.seams.switch import DEAD_VLAN

FLOWS = 10
TIMEOUT = 10.0  # seconds for a round


class Floor:
    """Rounds on the bridge of a host, with as many ports as are there. Give `run` to a supervisor."""

    def __init__(self, rundir: Path, *, name: str = "br-int") -> None:
        self._name = name
        self._changed = asyncio.Event()
        self._ovsdb = OvsdbClient(f"unix:{rundir}/db.sock", bridge.COLUMNS, lambda _: self._changed.set())
        self._openflow = OpenFlowClient(f"{rundir}/{name}.mgmt", lambda _: None)

    async def run(self) -> Never:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ovsdb.run())
            group.create_task(self._openflow.run())
        raise AssertionError("the connections to the switch ended")

    async def settled(self) -> None:
        """Return when ovs-vswitchd has done all that was committed before: taking a port away keeps it busy for 13 to
        18 ms, and whoever adds one meanwhile waits. Raises Unavailable."""
        results = await self._ovsdb.transact(operations.next_configuration(), "the floor: settling")
        asked_for = operations.configuration_of(results)
        try:
            async with asyncio.timeout(TIMEOUT):
                while bridge.carried_out(self._ovsdb.replica) < asked_for:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise Unavailable(f"the switch was not done within {TIMEOUT:g} s") from None

    async def round(self, device: str, commit: Callable[[], Awaitable[None]]) -> float:
        """Milliseconds from adding `device`, which is there, until ofport, tag, ten flows with a barrier and
        `commit` are done. What was added is removed again. Raises Unavailable."""
        await self._ovsdb.connected()
        await self._openflow.connected()
        await self._ovsdb.catch_up()
        on_bridge = bridge.uuid_of(self._ovsdb.replica, self._name)
        if on_bridge is None:
            raise Unavailable(f"there is no bridge {self._name}")
        owner = PortId(str(uuid4()))
        add = operations.add_port(on_bridge, device, {}, {"tag": DEAD_VLAN})
        began = time.perf_counter()
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._ovsdb.transact(add, "the floor: add port")
                port, ofport = await self._opened(device)
                where = [["_uuid", "==", ["uuid", port]]]
                tag = {"op": "update", "table": "Port", "where": where, "row": {"tag": 4000}}
                tagged = self._ovsdb.transact([tag], "the floor: set tag")
                flows = self._openflow.send({owner: list(packed(owner, _flows(ofport)).values())}, "the floor: flows")
                await asyncio.gather(tagged, flows)
                await commit()
        except TimeoutError:
            raise Unavailable(f"the floor took more than {TIMEOUT:g} s") from None
        took = (time.perf_counter() - began) * 1000
        await self._openflow.send({owner: [delete_all(owner)]}, "the floor: flows away")
        await self._ovsdb.transact([operations.remove_port(on_bridge, port)], "the floor: port away")
        return took

    async def _opened(self, device: str) -> tuple[str, int]:
        while True:
            for rows in bridge.on(self._ovsdb.replica, self._name):
                if rows.name == device and rows.ofport is not None:
                    return rows.port, rows.ofport
            self._changed.clear()
            await self._changed.wait()


def _flows(ofport: int) -> list[Flow]:
    return [
        Flow(0, 10, Match(in_port=ofport, dl_type=0x0800, nw_src=IPv4Network((0x0A000000 + number, 32))), (Normal(),))
        for number in range(FLOWS)
    ]
