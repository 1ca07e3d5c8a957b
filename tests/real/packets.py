"""Whether packets pass from one guest to another: by their kernels' own stacks, or as whole frames."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from tests.real.guarded import Guest

SHORT = 0.2  # seconds in which a packet arrives, or does not
SOON = 1.0  # seconds in which a change has reached live ports
SOL_PACKET, PACKET_AUXDATA = 263, 8
Probe = Callable[[], Awaitable[bool]]


async def soon(probe: Probe, *, is_so: bool = True, within: float = SOON) -> None:
    """Returns once the probe finds it so; fails if that takes longer than a change may take to reach live ports."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while await probe() != is_so:
        assert loop.time() - began < within, f"still {not is_so} after {within:g} s"
        await asyncio.sleep(0.02)


async def pings(one: Guest, other: Guest, *, v6: bool = False, within: float = SHORT) -> bool:
    """Whether an echo request of `one` is answered."""
    loop = asyncio.get_running_loop()
    family, protocol, request = (
        (socket.AF_INET6, socket.IPPROTO_ICMPV6, bytes([128, 0])) if v6 else (socket.AF_INET, 1, bytes([8, 0]))
    )
    body = request + bytes(2) + struct.pack("!HH", one.number, 1) + b"moorage!"
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]  # the kernel writes ICMPv6's
    with one.open(family, socket.SOCK_RAW, protocol) as raw:
        await loop.sock_sendto(raw, body, to(one, other, 0, v6=v6))
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while True:
                    packet = await loop.sock_recv(raw, 1500)
                    answer = packet if v6 else packet[(packet[0] & 15) * 4 :]
                    if answer[0] in (0, 129) and answer[4:] == body[4:]:
                        return True
    return False


async def sends(
    one: Guest,
    other: Guest,
    port: int,
    *,
    v6: bool = False,
    address: str | None = None,
    size: int = 8,
) -> bool:
    """Whether a UDP packet of `one` arrives (at `address` of the other, if it is not its own)."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if v6 else socket.AF_INET
    with one.open(family, socket.SOCK_DGRAM) as sender, other.open(family, socket.SOCK_DGRAM) as receiver:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        receiver.bind(("", port))
        where = (address, port) if address else to(one, other, port, v6=v6)
        await loop.sock_sendto(sender, bytes(size), where)
        with suppress(TimeoutError):
            async with asyncio.timeout(SHORT):
                return await loop.sock_recv(receiver, 2 * size) == bytes(size)
    return False


async def connects(one: Guest, other: Guest, port: int, *, v6: bool = False) -> bool:
    """Whether a TCP connection comes about."""
    with suppress(TimeoutError):
        async with connection(one, other, port, v6=v6):
            return True
    return False


@dataclass(frozen=True)
class Connection:
    client: socket.socket
    server: socket.socket

    async def carries(self, *, back: bool = False) -> bool:
        """Whether what is said now at one end is heard at the other, within a short while."""
        loop = asyncio.get_running_loop()
        said, heard = (self.server, self.client) if back else (self.client, self.server)
        await loop.sock_sendall(said, b"moorage!")
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * SHORT):
                return bool(await loop.sock_recv(heard, 1000))
        return False


@asynccontextmanager
async def connection(one: Guest, other: Guest, port: int, *, v6: bool = False) -> AsyncIterator[Connection]:
    """Raises TimeoutError when it does not come about."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if v6 else socket.AF_INET
    with one.open(family, socket.SOCK_STREAM) as client, other.open(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("", port))
        listener.listen()
        async with asyncio.timeout(SHORT):
            await loop.sock_connect(client, to(one, other, port, v6=v6))
            server, _ = await loop.sock_accept(listener)
        with server:
            yield Connection(client, server)


def to(one: Guest, other: Guest, port: int, *, v6: bool) -> tuple[Any, ...]:
    """The other's address as the first one's sockets want it."""
    return (other.address6, port, 0, one.card) if v6 else (other.address, port)


async def arrives(one: Guest, other: Guest, frame: bytes, *, as_frame: bytes | None = None) -> bool:
    """Whether a frame that `one` sends comes out at the other, as it was or as it should be."""
    loop = asyncio.get_running_loop()
    expected = frame if as_frame is None else as_frame
    with one.wire() as sender, other.wire() as receiver:
        await loop.sock_sendall(sender, frame)
        with suppress(TimeoutError):
            async with asyncio.timeout(SHORT):
                while True:
                    if (await loop.sock_recv(receiver, 2000))[: len(expected)] == expected:
                        return True
    return False


async def tag_at(one: Guest, other: Guest, frame: bytes) -> int | None:
    """The VLAN with which a frame that `one` sends comes out at the other (0: none); None if it does not come."""
    loop = asyncio.get_running_loop()
    with one.wire() as sender, other.wire() as receiver:
        receiver.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        await loop.sock_sendall(sender, frame)
        until = loop.time() + SHORT
        while loop.time() < until:
            try:
                came, beside, _, _ = receiver.recvmsg(2000, 200)
            except BlockingIOError:
                await asyncio.sleep(0.005)
                continue
            if came[: len(frame)] == frame:
                [auxiliary] = [data for level, kind, data in beside if (level, kind) == (SOL_PACKET, PACKET_AUXDATA)]
                return int(struct.unpack_from("=IIIHHH", auxiliary)[5]) & 0xFFF  # tpacket_auxdata.tp_vlan_tci
    return None


# ---- frames


def ethernet(source: str, destination: str, kind: int, payload: bytes, *, vlan: int | None = None) -> bytes:
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    return mac(destination) + mac(source) + tag + struct.pack("!H", kind) + payload


def arp(source: str, address: str, target: str, *, sender: str | None = None, is_reply: bool = False) -> bytes:
    """Who has `target`? `source` says of itself (or of `sender`) that it has `address`."""
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2 if is_reply else 1)
    body += mac(sender or source) + ip_address(address).packed + bytes(6) + ip_address(target).packed
    return ethernet(source, "ff:ff:ff:ff:ff:ff", 0x0806, body)


def udp4(
    source: str, destination: str, addresses: tuple[str, str], ports: tuple[int, int], *, vlan: int | None = None
) -> bytes:
    payload = b"moorage!"
    of, to_address = (ip_address(address).packed for address in addresses)
    datagram = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    pseudo = of + to_address + struct.pack("!BBH", 0, 17, len(datagram))
    datagram = datagram[:6] + struct.pack("!H", checksum(pseudo + datagram)) + datagram[8:]
    return ethernet(source, destination, 0x0800, ipv4(17, of, to_address, datagram), vlan=vlan)


def ipv4(protocol: int, source: bytes, destination: bytes, payload: bytes) -> bytes:
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0) + source + destination
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def icmp6(source: str, destination: str, addresses: tuple[str, str], kind: int, body: bytes) -> bytes:
    of, to_address = (ip_address(address).packed for address in addresses)
    message = bytes([kind, 0, 0, 0]) + body
    pseudo = of + to_address + struct.pack("!II", len(message), 58)
    message = message[:2] + struct.pack("!H", checksum(pseudo + message)) + message[4:]
    header = struct.pack("!IHBB", 6 << 28, len(message), 58, 255) + of + to_address
    return ethernet(source, destination, 0x86DD, header + message)


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def checksum(octets: bytes) -> int:
    octets += bytes(len(octets) % 2)
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
