"""Reaching a guest from its own network: a ping and a page, through sockets made inside a namespace."""

import asyncio
import contextlib
import os
import socket
import struct

from moorage.seams.world import World

_ECHO, _ECHO_REPLY = 8, 0
_WAIT = 0.5  # seconds for one answer, before it is asked again
_MOST = 1 << 16  # bytes of a page


async def ping(world: World, namespace: str, address: str, *, patience: float) -> bool:
    """Whether `address` answers an ICMP echo within `patience` seconds; asked again each half second."""
    loop = asyncio.get_running_loop()
    with await world.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP, namespace=namespace) as raw:
        raw.setblocking(False)
        raw.connect((address, 0))
        ident = int.from_bytes(os.urandom(2), "big")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                for number in range(1, 1 << 16):
                    with contextlib.suppress(OSError):
                        await loop.sock_sendall(raw, echo(ident, number))
                    if await _answered(raw, ident):
                        return True
    return False


async def _answered(raw: socket.socket, ident: int) -> bool:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_WAIT):
            while True:
                packet = await loop.sock_recv(raw, 1500)
                start = (packet[0] & 0x0F) * 4  # behind the IP header
                kind, _, _, got, _ = struct.unpack_from("!BBHHH", packet, start)
                if kind == _ECHO_REPLY and got == ident:
                    return True
    except TimeoutError:
        return False


def echo(ident: int, number: int) -> bytes:
    """An ICMP echo request."""
    """An ICMP echo request."""
    payload = b"moorage-" * 4
    bare = struct.pack("!BBHHH", _ECHO, 0, 0, ident, number) + payload
    return struct.pack("!BBHHH", _ECHO, 0, _checksum(bare), ident, number) + payload


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    folded: int = total + (total >> 16)
    return ~folded & 0xFFFF


async def fetch(world: World, namespace: str, address: str, *, port: int, patience: float) -> str | None:
    """The body of GET / from `address`, tried again for `patience` seconds; None when nothing was served."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while True:
                try:
                    return await _get(world, namespace, address, port)
                except OSError:
                    await asyncio.sleep(0.1)  # nobody listens yet
    return None


async def _get(world: World, namespace: str, address: str, port: int) -> str:
    loop = asyncio.get_running_loop()
    with await world.socket(socket.AF_INET, socket.SOCK_STREAM, namespace=namespace) as stream:
        stream.setblocking(False)
        await loop.sock_connect(stream, (address, port))
        await loop.sock_sendall(stream, f"GET / HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
        read = b""
        while len(read) < _MOST and (piece := await loop.sock_recv(stream, 4096)):
            read += piece
    head, _, body = read.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n", 1)[0] + b" ":
        raise ConnectionError(f"{address} answered {head[:80]!r}")
    return body.decode(errors="replace")
