"""Guests behind a real firewall: an agent on a real Open vSwitch, namespaces with IP stacks, and packets of any kind.

The network is scripted: `ports` and `groups` are what it would tell the agent.
"""

import asyncio
import ctypes
import fcntl
import hashlib
import socket
import struct
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Never

import msgspec
from tests.contract.ovs_rig import OvsRig, an_ovs, other_end

from moorage.adapters.memory.clock import LoopClock
from moorage.adapters.memory.dhcp import MemoryDhcp
from moorage.adapters.ovsdb.switch import OvsSwitch
from moorage.agent.agent import Agent
from moorage.agent.dhcp import DhcpServers
from moorage.agent.firewall import Firewall
from moorage.agent.vlans import Vlans
from moorage.domain.hops import Fact
from moorage.domain.ids import Generation, HostName, NetworkId, PortId, ServerId, device_name
from moorage.seams.bus import Handler
from moorage.seams.switch import Vif
from moorage.wire import messages as wire

NET, OTHER_NET = NetworkId("5f2b9c1e-0000-4000-8000-000000000001"), NetworkId("5f2b9c1e-0000-4000-8000-000000000002")
GENERATION = Generation("1" * 32)
HOST = HostName("host-1")
CLONE_NEWNET = 0x40000000
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17


@dataclass
class Network:
    """The network's side of the bus, as a script."""

    ports: dict[str, wire.PortDetails] = field(default_factory=dict)
    groups: dict[str, wire.GroupSpec] = field(default_factory=dict)
    is_up: set[str] = field(default_factory=set)

    async def call(self, queue: str, message: wire.Message, *, timeout: float = 10.0) -> wire.Message:
        match message:
            case wire.LookBegins():
                return wire.LookBegan(at=datetime.now(UTC))
            case wire.DetailsWanted(ports=ports):
                unknown = [wire.PortDetails(port=mark.port, is_bound_here=False) for mark in ports]
                return wire.Details(ports=tuple([self.ports.get(one.port, one) for one in unknown]))
            case wire.GroupsWanted(groups=groups, known=known):
                own = [self.groups[group] for group in groups if group in self.groups]
                remotes = {rule.remote_group for group in own for rule in group.rules} & self.groups.keys()
                found = {group.id: group for group in (*own, *(self.groups[str(remote)] for remote in remotes))}
                changed = tuple([group for group in found.values() if known.get(group.id) != group.digest])
                return wire.Groups(ids=tuple(found), changed=changed)
            case wire.Reports(up=up, down=down):
                self.is_up |= {mark.port for mark in up}
                self.is_up -= {mark.port for mark in down}
                return wire.Done()
            case wire.DhcpWanted():
                return wire.DhcpNetworks(networks=(), failed=(NET, OTHER_NET))  # what is there stays as it is
            case _:
                return wire.Done()

    async def cast(self, queue: str, message: wire.Message) -> None: ...

    async def serve(self, queue: str, handler: Handler) -> Never:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("served for ever")

    async def reconnects(self) -> AsyncIterator[None]:
        return
        yield


class Told:
    def tell(self, fact: Fact) -> None: ...


@dataclass(frozen=True)
class Guest:
    """A namespace behind a port. `name` is for people."""

    name: str
    number: int
    pid: int
    network: NetworkId

    @property
    def port(self) -> PortId:
        return PortId(f"{self.number:08x}-0000-4000-8000-00000000000c")

    @property
    def mac(self) -> str:
        return f"fa:16:3e:00:02:{self.number:02x}"

    @property
    def address(self) -> str:
        return f"10.0.0.{self.number}"

    @property
    def address6(self) -> str:
        """Its link-local one, as its kernel makes it."""
        return f"fe80::f816:3eff:fe00:{0x200 + self.number:x}"

    @property
    def card(self) -> int:
        """The number of its network card."""
        return int(self.run("ip", "-o", "link", "show", "eth0").partition(":")[0])

    def run(self, *command: str) -> str:
        entering = ["nsenter", f"--net=/proc/{self.pid}/ns/net", *command]
        done = subprocess.run(entering, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def open(self, *kind: int) -> socket.socket:
        """A socket of its own, not blocking."""
        made: list[socket.socket] = []

        def make() -> None:  # a thread of its own: which namespace one is in is each thread's
            with Path(f"/proc/{self.pid}/ns/net").open() as namespace:
                assert ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) == 0
            made.append(socket.socket(*kind))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        made[0].setblocking(False)
        return made[0]

    @contextmanager
    def wire(self) -> Iterator[socket.socket]:
        """Its network card: whole frames."""
        with self.open(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as raw:
            raw.bind(("eth0", 3))
            yield raw


class Wall:
    """The host: guests come and go, an agent lives and dies."""

    def __init__(self, rig: OvsRig, plugging: OvsSwitch) -> None:
        self.rig = rig
        self.plugging = plugging
        self.network = Network()
        self.vlans = Vlans()  # the present agent's
        self.connections = 100  # that each guest may have
        self.guests: dict[str, Guest] = {}
        self._namespaces: list[subprocess.Popen[bytes]] = []
        self._agent: Agent | None = None
        self._running: asyncio.Task[None] | None = None

    # ---- guests

    async def guest(self, name: str, *groups: str, network: NetworkId = NET, **details: Any) -> Guest:
        """A guest that is wired."""
        guest = Guest(name, len(self.guests) + 11, self._namespace(), network)
        self.guests[name] = guest
        self.rig.make_device(guest.port)
        self._give(guest, other_end(device_name(guest.port)))
        self.network.ports[guest.port] = wire.PortDetails(
            port=guest.port,
            is_bound_here=True,
            network=network,
            generation=GENERATION,
            mac=guest.mac,
            addresses=(guest.address,),
        )
        await self.change(guest, security_groups=groups, **details)
        await self.plugging.plug(Vif(guest.port, ServerId("s"), guest.mac, device_name(guest.port), GENERATION))
        async with asyncio.timeout(5):
            while guest.port not in self.network.is_up:
                await asyncio.sleep(0.005)
        return guest

    async def service(self, name: str) -> Guest:
        """A port of the host's own, as a DHCP server has it."""
        guest = Guest(name, len(self.guests) + 11, self._namespace(), NET)
        self.guests[name] = guest
        self.rig.make_device(guest.port)
        self._give(guest, other_end(device_name(guest.port)))
        await self.plugging.add_service_port(guest.port, device_name(guest.port), guest.mac, await self.vlan(NET), NET)
        return guest

    async def uplink(self, name: str) -> Guest:
        """The way to other hosts; what stands there is handed whole frames."""
        guest = Guest(name, len(self.guests) + 11, self._namespace(), NET)
        self.guests[name] = guest
        self.rig.inside("ip", "link", "add", "uplink", "up", "type", "veth", "peer", "name", "away")
        self._give(guest, "away")
        await self.plugging.add_uplink("uplink")
        return guest

    async def vlan(self, network: NetworkId) -> int:
        bridge = await self.plugging.look()
        return next(seen.vlan for seen in bridge.values() if seen.network == network and seen.vlan is not None)

    # ---- what users do, as the network would tell the agent

    async def change(self, guest: Guest, **details: Any) -> None:
        """The port is not what it was."""
        before = self.network.ports[guest.port]
        self.network.ports[guest.port] = msgspec.structs.replace(before, **details)
        members = {group: spec.members for group, spec in self.network.groups.items()}
        self._renew()
        await self._told(wire.PortsChanged(ports=(guest.port,), networks=()))
        others = [group for group, spec in self.network.groups.items() if spec.members != members[group]]
        await self._told(wire.GroupsChanged(groups=tuple(others)))

    async def rules(self, group: str, *rules: wire.GroupRuleSpec) -> None:
        """The group has these rules."""
        self.network.groups[group] = wire.GroupSpec(id=group, digest="", rules=rules, members=())
        self._renew()
        await self._told(wire.GroupsChanged(groups=tuple(self.network.groups)))

    def _renew(self) -> None:
        """Members follow from ports, and digests from what there is."""
        for group, spec in self.network.groups.items():
            members = sorted(
                (port.network, address)
                for port in self.network.ports.values()
                if group in port.security_groups
                for address in (*port.addresses, *(pair["ip_address"] for pair in port.allowed_address_pairs))
            )
            renewed = msgspec.structs.replace(spec, digest="", members=tuple(members))
            digest = hashlib.sha256(msgspec.json.encode(renewed)).hexdigest()
            self.network.groups[group] = msgspec.structs.replace(renewed, digest=digest)

    async def _told(self, message: wire.Message) -> None:
        if self._agent is not None:
            await self._agent.handle(message)

    # ---- the agent

    async def start_agent(self) -> None:
        """One that knows nothing yet."""
        wiring = OvsSwitch(self.rig.rundir, connections=self.connections)
        vlans = self.vlans = Vlans()
        dhcp = DhcpServers(HOST, MemoryDhcp(), wiring, self.network, vlans)
        firewall = Firewall(HOST, self.network)
        agent = Agent(HOST, wiring, dhcp, firewall, self.network, LoopClock(), Told(), vlans=vlans)
        self.network.is_up.clear()

        async def live() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(wiring.run())
                group.create_task(agent.run())

        self._agent, self._running = agent, asyncio.create_task(live())

    async def stop_agent(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        self._agent = None

    async def all_up(self) -> None:
        """Return when the agent has told the network of all ports."""
        async with asyncio.timeout(10):
            while not self.network.ports.keys() <= self.network.is_up:
                await asyncio.sleep(0.005)

    def end(self) -> None:
        for namespace in self._namespaces:
            namespace.kill()
            namespace.wait()
            assert namespace.stdout is not None
            namespace.stdout.close()

    def _namespace(self) -> int:
        namespace = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo made; exec sleep infinity"], stdout=-1)
        self._namespaces.append(namespace)
        assert namespace.stdout is not None
        assert namespace.stdout.readline() == b"made\n"
        return namespace.pid

    def _give(self, guest: Guest, device: str) -> None:
        """Let the guest have a device of the host's as its only one, with its addresses."""
        self.rig.inside("ip", "link", "set", device, "netns", str(guest.pid), "name", "eth0", "address", guest.mac)
        batch = [
            "link set lo up",
            "link set eth0 addrgenmode none",
            f"address add {guest.address}/24 dev eth0",
            "link set eth0 up",
            f"address add {guest.address6}/64 dev eth0 nodad",
        ]
        guest.run("sh", "-c", "printf '%s\\n' \"$@\" | ip -batch -", "sh", *batch)
        with guest.open(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            asked = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_STXCSUM, 0))
            fcntl.ioctl(any_socket, SIOCETHTOOL, struct.pack("16sP", b"eth0", ctypes.addressof(asked)))


@asynccontextmanager
async def a_wall() -> AsyncIterator[Wall]:
    """A host with an agent, and no guest yet; nothing of it is left in the end."""
    with an_ovs("veth") as rig:
        async with rig.connected() as plugging:
            wall = Wall(rig, plugging)
            try:
                await wall.start_agent()
                yield wall
            finally:
                await wall.stop_agent()
                wall.end()
