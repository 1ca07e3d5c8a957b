"""A whole cloud in one process: control plane, hosts, and the listener."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence, Set
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Never

from moorage.adapters.argon2.passwords import ArgonPasswords
from moorage.adapters.database.engine import Database
from moorage.adapters.database.sqlite import open_sqlite
from moorage.adapters.files.images import FileImages
from moorage.adapters.files.private_key import load_or_make_private_key
from moorage.adapters.metrics.prometheus import PrometheusMetrics
from moorage.adapters.system.clock import SystemClock
from moorage.app.buses import open_bus
from moorage.app.cloud import Credentials
from moorage.app.collector import calm_collector
from moorage.app.config import CloudSettings, HostKind
from moorage.app.control import Control
from moorage.app.control import listening as control_listening
from moorage.app.control_plane import ControlPlane, Parts, make_control_plane, new_password
from moorage.app.control_words import control_socket
from moorage.app.databases import Databases, in_files, in_postgresql
from moorage.app.doors import HostDoors
from moorage.app.equipping import equip, simulated
from moorage.app.evidence import Evidence
from moorage.app.first_start import first_start
from moorage.app.floor import FLOOR, MeasuredFloor, make_floor
from moorage.app.guests import find_accelerator
from moorage.app.hosts import Equipment, Host, Outside, make_host
from moorage.app.http_server import served
from moorage.app.listening import host_port, listening
from moorage.app.serving.part import Runner
from moorage.app.state import write_private
from moorage.app.workbench import Workbench
from moorage.app.worlds import LastingWorlds, Worlds, host_names, private_worlds, require_no_world
from moorage.compute.boot import PluggingRules
from moorage.domain.errors import Unavailable
from moorage.domain.ids import HostName, NetworkId, ServerId
from moorage.kit.retry import no_words_of_retries, retry
from moorage.kit.supervise import supervise

Say = Callable[[str], None]

READY_WITHIN = 30.0  # seconds until every host has been heard
USERS = ("admin", "demo", "nova", "neutron", "glance")


class AllInOne:
    """Fulfils moorage.app.cloud.Cloud."""

    def __init__(
        self,
        settings: CloudSettings,
        url: str,
        passwords: dict[str, str],
        plane: ControlPlane,
        hosts: Sequence[Host],
        floor: MeasuredFloor,
    ) -> None:
        self.settings = settings
        self.url = url
        self.credentials = {
            "moorage": Credentials("demo", passwords["demo"], "demo"),
            "moorage-admin": Credentials("admin", passwords["admin"], "admin"),
        }
        self.plane = plane
        self.hosts = hosts
        self._floor = floor
        evidence = Evidence([host.equipment for host in hosts], self._network_of)
        self.guest_exists = evidence.guest_exists
        self.switch_has_port = evidence.switch_has_port
        self.guest_address = evidence.guest_address
        self._evidence = evidence

    def host_names(self) -> list[str]:
        return [str(host.equipment.name) for host in self.hosts]

    async def stop_agent(self, host: str) -> None:
        await self._host(host).agent.stop()

    async def start_agent(self, host: str) -> None:
        self._host(host).agent.start()

    async def ping(self, server: str, address: str, *, patience: float = 5.0) -> bool | None:
        return await self._evidence.ping(server, address, patience=patience)

    async def fetch(self, server: str, address: str, *, port: int = 80, patience: float = 5.0) -> str | None:
        return await self._evidence.fetch(server, address, port=port, patience=patience)

    def workbench(self) -> Workbench:
        return Workbench(self.settings.host_kind, self.hosts[0], self.plane)

    async def settled(self) -> None:
        await self._floor.settled()

    async def floor_round(self) -> float:
        return await self._floor.round()

    async def _network_of(self, server: ServerId) -> NetworkId | None:
        nics = (await self.plane.compute.store.show(server, project=None)).nics
        return nics[0].network if nics else None

    def _host(self, name: str) -> Host:
        return next(host for host in self.hosts if host.equipment.name == name)


@asynccontextmanager
async def run_cloud(
    settings: CloudSettings, progress: Say = lambda _: None, *, is_lasting: bool = False
) -> AsyncIterator[AllInOne]:
    """The cloud, ready: its APIs answer and every host has been heard. It ends with the context, guests and all.

    One that `is_lasting` takes over what a killed one has left alive, and is taken over itself when it is killed.
    Raises Conflict when the port is in use, Unavailable and Invalid with what to do about it.
    """
    no_words_of_retries()
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(listening(settings.address, settings.port))
        url = f"http://{host_port(settings.address, listener.getsockname()[1])}"
        passwords = _passwords(settings.state_dir / "passwords.json")
        bus, bus_runners = await open_bus(settings.bus, settings.state_dir / "rabbitmq", stack, progress)
        parts = Parts(
            bus=bus,
            clock=SystemClock(),
            passwords=ArgonPasswords(),
            image_files=FileImages(_made(settings.state_dir / "images")),
            private_key=load_or_make_private_key(settings.state_dir / "token.key"),
            user_passwords=passwords,
            databases=await _databases(settings, stack),
            metrics=PrometheusMetrics(),
        )
        plane = make_control_plane(parts)
        stack.push_async_callback(plane.close)
        await plane.bootstrap()
        equipment, worlds, shared = await _equipment(settings, stack, progress, is_lasting)
        hosts = [make_host(one, _outside(settings, plane)) for one in equipment]
        plane.health.waits.extend(partial(_waits, host) for host in hosts)
        sockets = None if worlds is None else worlds.sockets
        floor, floor_runners = make_floor(equipment[0], settings, _floor_table(settings, stack), sockets)
        control = Control(
            stack.enter_context(control_listening(control_socket(settings.state_dir))),
            HostDoors(hosts, plane.compute.store),
        )
        eternal = [
            *bus_runners,
            ("control plane", plane.run),
            ("control socket", control.run),
            *shared,
            *((f"host {host.equipment.name}", host.run) for host in hosts),
        ]
        await stack.enter_async_context(_running([*eternal, *floor_runners], worlds))
        stack.push_async_callback(plane.telling.close)  # the last facts, while those who keep them still run
        await _all_heard(plane, hosts)
        await first_start(plane, settings, progress)
        await stack.enter_async_context(served(plane.app, listener))
        calm_collector()
        if worlds is not None:
            worlds.is_used = True
        yield AllInOne(settings, url, passwords, plane, hosts, floor)


async def _databases(settings: CloudSettings, stack: AsyncExitStack) -> Databases:
    if settings.database is None:
        return in_files(_made(settings.state_dir / "database"), is_durable=settings.is_durable)
    from moorage.adapters.database.postgresql import alone

    await stack.enter_async_context(alone(settings.database))
    return await in_postgresql(settings.database)


def _waits(host: Host) -> int:
    return len(host.compute.boot.expectations.awaited())


def _outside(settings: CloudSettings, plane: ControlPlane) -> Outside:
    return Outside(
        bus=plane.parts.bus,
        network=plane.compute.network,
        images=plane.compute.images,
        clock=plane.parts.clock,
        timeline=plane.observed,
        rules=PluggingRules(settings.vif_plugging_timeout, settings.vif_plugging_is_fatal),
        metrics=plane.parts.metrics,
    )


async def _equipment(
    settings: CloudSettings, stack: AsyncExitStack, progress: Say, is_lasting: bool
) -> tuple[Sequence[Equipment], Worlds | None, Sequence[Runner]]:
    """The hosts' adapters, the worlds that they live in, and what must run for all of them."""
    if settings.host_kind is HostKind.SIMULATED:
        if is_lasting:
            await require_no_world(settings)
        return [simulated(name, settings) for name in host_names(settings.hosts)], None, ()
    cache = settings.cache_dir or settings.state_dir / "cache"
    accelerator = await find_accelerator(settings.host_kind, cache, progress)
    lives_in = LastingWorlds if is_lasting else private_worlds
    worlds = await stack.enter_async_context(lives_in(settings, progress))
    equipment, shared = await equip(settings, worlds, accelerator)
    return equipment, worlds, shared


@asynccontextmanager
async def _running(tasks: Sequence[tuple[str, Any]], worlds: Worlds | None) -> AsyncIterator[None]:
    """The eternal tasks, for the length of the context; a failure of theirs ends it, and so does the hosts' end."""
    async with asyncio.TaskGroup() as group:
        owners: list[asyncio.Task[Never]] = [group.create_task(supervise(tasks))]
        if worlds is not None:
            owners.append(group.create_task(worlds.gone()))
        try:
            yield
        finally:
            for owner in owners:
                owner.cancel()


async def _all_heard(plane: ControlPlane, hosts: Sequence[Host]) -> None:
    """Wait until compute and agent of every host have sent a heartbeat, and its switch has its bridge."""
    names = {host.equipment.name for host in hosts}
    heard: Set[HostName] = frozenset()
    try:
        async with asyncio.timeout(READY_WITHIN):
            while not names <= heard:
                await asyncio.sleep(0.002)  # both are rows in tables; nothing tells of a new one
                heard = await plane.heard()
            for host in hosts:
                await retry(host.equipment.check, on=Unavailable, timeout=READY_WITHIN, first=0.005, longest=0.05)
    except TimeoutError:
        silent = ", ".join(sorted(names - heard)) or "its switch"
        raise Unavailable(f"no word from {silent} within {READY_WITHIN:g} s: see the log") from None


def _floor_table(settings: CloudSettings, stack: AsyncExitStack) -> Database:
    database = open_sqlite(
        _made(settings.state_dir / "database") / "floor.sqlite", FLOOR, is_durable=settings.is_durable
    )
    stack.push_async_callback(database.close)
    return database


def _made(directory: Path) -> Path:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def _passwords(path: Path) -> dict[str, str]:
    """The passwords of the users that a cloud begins with, made at its first start; mode 0600."""
    found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if missing := [user for user in USERS if user not in found]:
        found |= {user: new_password() for user in missing}
        write_private(path, json.dumps(found))
    return {user: found[user] for user in USERS}
