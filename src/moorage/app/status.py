"""What runs in a state directory: its process, its memory, its hosts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moorage.app import processes, runtime
from moorage.app.client import Client, Json, logged_in
from moorage.app.clouds_yaml import ADMIN, account_in
from moorage.app.state import Running, StateDir
from moorage.domain.errors import MoorageError

if TYPE_CHECKING:
    from moorage.app.leftover import Leftover


@dataclass(frozen=True)
class HostStatus:
    name: str
    is_alive: bool
    servers: int
    ports: int = 0  # that its agent has looked at
    ports_pending: int = 0  # that it has found, and not come to yet


@dataclass(frozen=True)
class Status:
    is_ready: bool
    running: Running | None
    rss_mib: float
    hosts: Sequence[HostStatus] = ()
    why_not: str = ""
    leftover: "Leftover | None" = None  # what lives on of a cloud that was killed


async def status(state: StateDir) -> Status:
    """Asks the running cloud; `is_ready` False, with the reason, when there is none or it does not answer."""
    running = state.running()
    if running is None:
        if state.is_held():
            return Status(False, None, 0.0, why_not=f"it is starting, or closing in {state.path}")
        left = await _leftover(state)
        if left is None:
            return Status(False, None, 0.0, why_not=f"nothing runs in {state.path}")
        return Status(False, None, 0.0, why_not=_told(left), leftover=left)
    rss = processes.rss_mib(processes.control_plane(running.pid))
    try:
        async with logged_in(account_in(state.clouds_yaml, ADMIN)) as admin:
            return Status(True, running, rss, await hosts(admin))
    except MoorageError as error:
        return Status(False, running, rss, why_not=error.message)


async def _leftover(state: StateDir) -> "Leftover | None":
    if not runtime.is_lived_in(runtime.place_of(state.cloud)):
        return None
    from moorage.app.leftover import leftover
    from moorage.app.logs import logging_to

    with logging_to(state.log):
        return await leftover(state.cloud)


def _told(left: "Leftover") -> str:
    if left.guests is None:
        guests = "its guests"
    elif left.guests == 1:
        guests = "1 guest"
    else:
        guests = f"{left.guests} guests"
    kind = f" ({left.host_kind})" if left.host_kind else ""
    return (
        f"the cloud was killed, and {guests}{kind} run on in the world of holder {left.pid}: "
        "`moorage up` takes them over, `moorage down` switches them off"
    )


async def hosts(admin: Client) -> list[HostStatus]:
    servers = Counter(server["OS-EXT-SRV-ATTR:host"] for server in await admin.servers(all_projects=True))
    agents = {agent["host"]: agent["configurations"] for agent in await admin.agents()}
    return [_host(service, servers, agents.get(service["host"], {})) for service in await admin.services()]


def _host(service: Json, servers: Mapping[str, int], agent: Mapping[str, int]) -> HostStatus:
    name = service["host"]
    pending = agent.get("devices_pending", 0)
    return HostStatus(name, service["state"] == "up", servers[name], agent.get("devices", 0), pending)


def status_json(found: Status) -> Mapping[str, Any]:
    running, left = found.running, found.leftover
    return {
        "ready": found.is_ready,
        "pid": None if running is None else running.pid,
        "listen": None if running is None else running.listen,
        "rss_mib": round(found.rss_mib, 1),
        "host_kind": None if running is None else running.host_kind,
        "lives_on": None if left is None else {"holder": left.pid, "host_kind": left.host_kind, "guests": left.guests},
        "hosts": [_host_json(host) for host in found.hosts],
    }


def _host_json(host: HostStatus) -> Mapping[str, Any]:
    return {
        "name": host.name,
        "alive": host.is_alive,
        "servers": host.servers,
        "ports": host.ports,
        "ports_pending": host.ports_pending,
    }
