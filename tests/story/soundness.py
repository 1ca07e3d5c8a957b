"""What must fit together in a cloud at rest: records, ports, switches, guests, DHCP, addresses, the outbox."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session
from tests.story.clouds import Story
from tests.story.worlds import Simulated

from moorage.adapters.database.network_tables import OutboxRow, decoded
from moorage.domain.events import ExternalEvent, OutboxItem
from moorage.domain.ids import HostName, NetworkId, PortId, ServerId
from moorage.domain.port import MADE_KEY, Port, PortStatus
from moorage.domain.server import Server, VmState, job_of
from moorage.seams.hypervisor import GuestState
from moorage.seams.network_store import NetworkStore
from moorage.seams.server_store import ServerQuery, ServerStore
from moorage.seams.switch import Interface, Vif

OURS = "compute:"
EXECUTING = (GuestState.RUNNING, GuestState.PAUSED)


@dataclass(frozen=True)
class Seen:
    """One host's world, read once."""

    host: HostName
    guests: Mapping[ServerId, GuestState]
    addresses: Mapping[ServerId, str | None]
    vifs: Mapping[PortId, Vif]
    bridge: Mapping[PortId, Interface]
    served: Mapping[NetworkId, frozenset[PortId]]  # reservations


async def complaints(cloud: Story) -> list[str]:
    """What is not as it should be; [] for a cloud that is sound. A server with a task is a complaint as well."""
    store: ServerStore = cloud.seams["the server store"]
    network: NetworkStore = cloud.seams["the network store"]
    waiting = await outbox(cloud)
    servers = {server.id: server for server in await store.list(ServerQuery())}
    ports = {port.id: port for port in await network.ports(None)}
    worlds = [await _seen(world) for world in cloud.worlds]
    found = [line for server in servers.values() for line in _of_server(server, ports, worlds)]
    found += _of_ports(ports.values(), servers)
    for world in worlds:
        found += _of_world(world, servers, ports, {one.id for one in await network.networks(None)})
    found += _of_addresses(ports.values())
    homes = {server.id for server in servers.values() if server.host is not None}
    found += [f"{event.name} of {event.tag} waits in the outbox" for event in waiting if event.server in homes]
    return found


async def outbox(cloud: Story) -> Sequence[ExternalEvent]:
    """What waits to be told. (Of a server that is gone it dies within half a minute, of a homeless one in ten.)"""

    def read(session: Session) -> list[ExternalEvent]:
        return [decoded(row, OutboxItem).event for row in session.scalars(select(OutboxRow.document))]

    return await cloud.plane.parts.databases["network"].run("reading the outbox", read)


async def _seen(world: Simulated) -> Seen:
    guests = await world.hypervisor.states()
    networks = await world.dhcp.serving()
    served = {network: world.dhcp.network(network) for network in networks}
    return Seen(
        world.name,
        guests,
        {server: world.hypervisor.address_of(server) for server in guests},
        await world.switch.plugged(),
        dict(await world.switch.look()),
        {
            network: frozenset(one.port for one in spec.reservations)
            for network, spec in served.items()
            if spec is not None
        },
    )


def _of_server(server: Server, ports: Mapping[PortId, Port], worlds: Sequence[Seen]) -> Iterator[str]:
    who = f"server {server.name} ({server.life.vm})"
    if job_of(server.life) is not None:
        yield f"{who} has work under way: {server.life.task}"
        return
    own = [port for port in ports.values() if port.device_id == server.id]
    here = {world.host: world.guests[server.id] for world in worlds if server.id in world.guests}
    plugged = [
        f"{vif.port} on {world.host}" for world in worlds for vif in world.vifs.values() if vif.server == server.id
    ]
    match server.life.vm:
        case VmState.ACTIVE | VmState.PAUSED | VmState.SUSPENDED as vm:
            fitting = EXECUTING if vm is VmState.ACTIVE else (GuestState.PAUSED,)
            if [(server.host, True)] != [(host, state in fitting) for host, state in here.items()]:
                yield f"{who} on {server.host} has guests {here}"
                return
            [world] = [world for world in worlds if world.host == server.host]
            if not own:
                yield f"{who} has no port"
            for port in own:
                yield from _of_live_port(who, server, port, world)
        case VmState.STOPPED:
            if any(state is not GuestState.OFF for state in here.values()) or set(here) - {server.host}:
                yield f"{who} on {server.host} has guests {here}"
            if plugged:
                yield f"{who} has VIFs: {plugged}"
            for port in own:
                if port.status is PortStatus.ACTIVE:
                    yield f"{who} has port {port.id} ACTIVE"
        case VmState.ERROR:
            if server.fault is None or not server.fault.message:
                yield f"{who} has no fault"
            if any(state is not GuestState.OFF for state in here.values()) or plugged:
                yield f"{who} has guests {here} and VIFs {plugged}"
            if server.launched_at is None and (here or any(port.binding.profile.get(MADE_KEY) for port in own)):
                yield f"{who} never ran, and has ports {[port.id for port in own]}, guests {here}"


def _of_live_port(who: str, server: Server, port: Port, world: Seen) -> Iterator[str]:
    binding = port.binding
    if (port.status, binding.host, binding.generation) != (PortStatus.ACTIVE, server.host, server.generation):
        yield (
            f"{who}, on {server.host} in {server.generation}, has port {port.id} {port.status} "
            f"on {binding.host} in {binding.generation}"
        )
    vif, row = world.vifs.get(port.id), world.bridge.get(port.id)
    if vif is None or row is None or vif.generation != server.generation or row.wired != server.generation:
        yield f"{who} in {server.generation} has on the switch: {vif}, {row}"
    expected = [ip.ip_address for ip in port.fixed_ips]
    if world.addresses[server.id] not in expected:
        yield f"{who} has address {world.addresses[server.id]}, its port {expected}"
    if port.id not in world.served.get(port.network_id, ()):
        yield f"{who} has no reservation for port {port.id} on {world.host}"


def _of_ports(ports: Iterable[Port], servers: Mapping[ServerId, Server]) -> list[str]:
    return [
        f"port {port.id} is {port.status}, of server {port.device_id}, which is gone"
        for port in ports
        if port.device_owner.startswith(OURS) and port.device_id not in servers
    ]


def _of_world(
    world: Seen, servers: Mapping[ServerId, Server], ports: Mapping[PortId, Port], networks: set[NetworkId]
) -> Iterator[str]:
    here = {server.id for server in servers.values() if server.host == world.host}
    yield from (f"guest {server} is left on {world.host}" for server in world.guests.keys() - here)
    yield from (f"VIF {vif.port} is left on {world.host}" for vif in world.vifs.values() if vif.server not in here)
    for row in world.bridge.values():
        if row.is_service and (row.network not in networks or row.network not in world.served):
            yield f"service port {row.port} is left on {world.host}"
        if not row.is_service and row.port not in world.vifs:
            yield f"row {row.port} is left on the switch of {world.host}"
    for network, reserved in world.served.items():
        if network not in networks:
            yield f"network {network} is still served on {world.host}"
        for port in reserved:
            if port not in ports or ports[port].binding.host != world.host:
                yield f"port {port} is still reserved on {world.host}"


def _of_addresses(ports: Iterable[Port]) -> Iterator[str]:
    given = Counter((ip.subnet_id, ip.ip_address) for port in ports for ip in port.fixed_ips)
    yield from (f"address {address} was given to {count} ports" for (_, address), count in given.items() if count > 1)
