"""DHCP servers by dnsmasq: each in a namespace of its own, from which a cable leads to its port on the switch."""

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Set
from ipaddress import IPv4Interface
from pathlib import Path

import structlog

from moorage.adapters.dnsmasq import leases, rendering
from moorage.adapters.dnsmasq.log_tail import LogTail
from moorage.adapters.dnsmasq.rendering import Files
from moorage.domain.errors import MoorageError, Unavailable
from moorage.domain.ids import NetworkId
from moorage.kit.translating import translating
from moorage.seams.dhcp import DhcpNetwork
from moorage.seams.world import ROOT, LinkChange, World

log = structlog.get_logger(__name__)

_READ_TIMEOUT = 5.0  # seconds; it takes one or two milliseconds
_RELEASE_TIMEOUT = 0.5  # seconds
_LOOK_EVERY = 0.1  # seconds: whether it is still alive, while it is silent
_WATCH_EVERY = 0.5  # seconds: whether all are still alive
_LARGEST_LOG = 1 << 20  # bytes


class Dnsmasq:
    """The Dhcp seam (seams/dhcp.py). `state` is a directory of its own: a new instance on it takes over what runs."""

    def __init__(self, world: World, state: Path) -> None:
        self._world = world
        self._state = state
        self._served: dict[NetworkId, DhcpNetwork] = {}  # what each is known to have read
        self._owing: set[NetworkId] = set()  # those that may yet say "read" of an earlier call

    async def serve(self, wanted: DhcpNetwork) -> None:
        network = wanted.network
        name = server_name(network)
        is_alive = name in await self._world.processes()
        before = self._served.pop(network, None)  # known again once it has read it
        if not (is_alive and before == wanted):
            with translating({OSError: Unavailable}, f"writing the files of {name}"):
                await self._bring_up_to_date(wanted, is_alive=is_alive)
        self._served[network] = wanted

    async def stop(self, network: NetworkId) -> None:
        self._served.pop(network, None)
        name = server_name(network)
        await self._world.stop(name)
        await self._world.remove_namespace(name)
        with translating({OSError: Unavailable}, f"removing the files of {name}"):
            _remove(self._files(network).directory)

    async def serving(self) -> Set[NetworkId]:
        alive = set(await self._world.processes())
        return {network for network in _kept(self._state) if server_name(network) in alive}

    async def ended(self) -> AsyncIterator[NetworkId]:
        while True:
            await asyncio.sleep(_WATCH_EVERY)
            try:
                alive = await self._world.processes()
            except Unavailable:  # whoever has to do with it hears of that by himself
                continue
            for network in [network for network in self._served if server_name(network) not in alive]:
                if self._served.pop(network, None) is not None:
                    yield network

    async def _bring_up_to_date(self, wanted: DhcpNetwork, *, is_alive: bool) -> None:
        files = self._files(wanted.network)
        configuration = rendering.configuration(wanted, files)
        must_start = not is_alive or wanted.network in self._owing or _text(files.configuration) != configuration
        _write(files.options, rendering.options(wanted))
        _write(files.hosts, rendering.hosts(wanted))
        _limit(files.log)
        reserved = {(reservation.mac.lower(), reservation.address) for reservation in wanted.reservations}
        if not must_start:
            must_start = not await self._reload(wanted, leases.stale(leases.parsed(_text(files.leases)), reserved))
        if must_start:
            await self._start(wanted, configuration, reserved)

    async def _start(self, wanted: DhcpNetwork, configuration: str, reserved: Set[tuple[str, str]]) -> None:
        name, files = server_name(wanted.network), self._files(wanted.network)
        await self._world.stop(name)
        self._owing.discard(wanted.network)
        _write(files.configuration, configuration)  # it is what the running one has read, or none runs
        await self._world.make_namespace(name)
        await self._world.make_cable(wanted.device, name, rendering.INSIDE, mac=wanted.mac, mtu=wanted.mtu)
        await self._world.move_link(wanted.device, ROOT, ROOT, LinkChange(mtu=wanted.mtu))
        change = LinkChange(mac=wanted.mac, mtu=wanted.mtu, addresses=rendering.server_addresses(wanted))
        await self._world.move_link(rendering.INSIDE, name, name, change)
        kept = _text(files.leases)
        _write(files.leases, leases.without(kept, leases.stale(leases.parsed(kept), reserved)))
        with LogTail(files.log) as tail:
            # It stays root: dropping to another user fails where there is only one, in a user namespace.
            argv = ["dnsmasq", "--keep-in-foreground", "--user=", "--group=", "--pid-file=", f"-C{files.configuration}"]
            await self._world.start(name, argv, namespace=name, log=files.log)
            await self._has_read(wanted.network, tail)

    async def _reload(self, wanted: DhcpNetwork, stale: tuple[leases.Lease, ...]) -> bool:
        """False when it must be started anew after all."""
        name = server_name(wanted.network)
        if stale and not await self._release(wanted, stale):
            return False
        with LogTail(self._files(wanted.network).log) as tail:
            self._owing.add(wanted.network)
            try:
                await self._world.signal(name, signal.SIGHUP)
                await self._has_read(wanted.network, tail)
            except MoorageError as error:  # it died, or does not react
                log.warning("dnsmasq is started anew", process=name, error=error.message)
                return False
        return True

    async def _release(self, wanted: DhcpNetwork, stale: tuple[leases.Lease, ...]) -> bool:
        """Give leases back in their clients' names; False when dnsmasq did not confirm each in its log."""
        servers = [IPv4Interface(served.server_address) for served in wanted.ranges]
        name = server_name(wanted.network)
        opened = await self._world.socket(socket.AF_INET, socket.SOCK_DGRAM, namespace=name)
        with opened, LogTail(self._files(wanted.network).log) as tail:
            endings = []
            for number, lease in enumerate(stale, start=1):
                for server in servers:
                    if IPv4Interface(lease.address).ip in server.network:
                        opened.sendto(leases.release(lease, server.ip, number), (str(server.ip), 67))
                        endings.append(f") {lease.address} {lease.mac}")
            try:
                async with asyncio.timeout(_RELEASE_TIMEOUT):
                    await tail.lines(*endings)
            except TimeoutError:
                return False
        return True

    async def _has_read(self, network: NetworkId, tail: LogTail) -> None:
        """Returns when it has read its hosts and options, as it says in its log. Raises Unavailable."""
        name, files = server_name(network), self._files(network)
        try:
            async with asyncio.timeout(_READ_TIMEOUT):
                while True:
                    try:
                        async with asyncio.timeout(_LOOK_EVERY):
                            await tail.lines(f"read {files.hosts}", f"read {files.options}")
                            break
                    except TimeoutError:
                        if name not in await self._world.processes():
                            last = tail.said.strip().rpartition("\n")[2]
                            raise Unavailable(f"{name} ended: {last}") from None
        except TimeoutError as error:
            raise Unavailable(f"{name} did not read its files within {_READ_TIMEOUT} s") from error
        self._owing.discard(network)

    def _files(self, network: NetworkId) -> Files:
        return Files(self._state.absolute() / network)


def server_name(network: NetworkId) -> str:
    """Of a network's DHCP server: its namespace, and its process."""
    return f"dhcp-{network[:8]}"


def _kept(state: Path) -> list[NetworkId]:
    return [NetworkId(found.name) for found in state.iterdir()] if state.is_dir() else []


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _write(path: Path, text: str) -> None:
    """All of it, or nothing: a reader never sees a half."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def _limit(path: Path) -> None:
    if path.exists() and path.stat().st_size > _LARGEST_LOG:
        os.truncate(path, 0)  # its writers append


def _remove(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)
