"""What runs in a state directory: its process, its memory, its hosts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moorage.app import processes
from moorage.app.client import Client, logged_in
from moorage.app.clouds_yaml import ADMIN, account_in
from moorage.app.state import Running, StateDir
from moorage.domain.errors import MoorageError


@dataclass(frozen=True)
class HostStatus:
    name: str
    is_alive: bool
    servers: int


@dataclass(frozen=True)
class Status:
    is_ready: bool
    running: Running | None
    rss_mib: float
    hosts: Sequence[HostStatus] = ()
    why_not: str = ""


async def status(state: StateDir) -> Status:
    """Asks the running cloud; `is_ready` False, with the reason, when there is none or it does not answer."""
    running = state.running()
    if running is None:
        why = "it is starting, or closing" if state.is_held() else "nothing runs"
        return Status(False, None, 0.0, why_not=f"{why} in {state.path}")
    rss = processes.rss_mib(processes.control_plane(running.pid))
    try:
        async with logged_in(account_in(state.clouds_yaml, ADMIN)) as admin:
            return Status(True, running, rss, await hosts(admin))
    except MoorageError as error:
        return Status(False, running, rss, why_not=error.message)


async def hosts(admin: Client) -> list[HostStatus]:
    servers = Counter(server["OS-EXT-SRV-ATTR:host"] for server in await admin.servers(all_projects=True))
    return [
        HostStatus(service["host"], service["state"] == "up", servers[service["host"]])
        for service in await admin.services()
    ]


def status_json(found: Status) -> Mapping[str, Any]:
    running = found.running
    return {
        "ready": found.is_ready,
        "pid": None if running is None else running.pid,
        "listen": None if running is None else running.listen,
        "rss_mib": round(found.rss_mib, 1),
        "host_kind": None if running is None else running.host_kind,
        "hosts": [{"name": host.name, "alive": host.is_alive, "servers": host.servers} for host in found.hosts],
    }
