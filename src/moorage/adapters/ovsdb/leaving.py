"""Devices that were taken off the bridge, and that ovs-vswitchd may still hold open.

It compares what it has with what is wanted by name: a device that goes and comes back while it is busy is none to it,
and it would go on with the one that is gone. So one comes back only when it has been seen to go.
"""

import asyncio
from collections.abc import Callable, Iterable

import structlog

log = structlog.get_logger(__name__)


class Leaving:
    """`done` tells the latest configuration that ovs-vswitchd has carried out (`cur_cfg`); call `changed` with news."""

    def __init__(self, done: Callable[[], int], *, patience: float) -> None:
        self._done = done
        self._patience = patience  # seconds; one that is silent for longer is dead, and begins anew some time
        self._without: dict[str, int] = {}  # by device: the first configuration that lacks it
        self._changed = asyncio.Event()

    def left(self, devices: Iterable[str], configuration: int) -> None:
        """These devices are off the bridge in this configuration and later ones."""
        done = self._done()
        self._without = {device: lacks for device, lacks in self._without.items() if lacks > done}
        self._without.update(dict.fromkeys(devices, configuration))

    def changed(self) -> None:
        self._changed.set()

    async def gone(self, device: str) -> None:
        """Return when ovs-vswitchd has let go of the device, if it was on the bridge; or after `patience`."""
        lacks = self._without.get(device)
        if lacks is None:
            return
        try:
            async with asyncio.timeout(self._patience):
                while self._done() < lacks:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            log.warning("the switch has not let go of a device; it is plugged all the same", device=device)
        self._without.pop(device, None)
