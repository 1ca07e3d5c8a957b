"""`bench restart`: the agent of a host with many live ports ends and begins anew, while two guests talk."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from moorage.app import boots
from moorage.app.plugging import Readiness, made_ports, plugged
from moorage.app.private_cloud import Access, Say
from moorage.app.stream import Stream
from moorage.app.watching import seen
from moorage.app.workbench import Workbench
from moorage.domain.errors import Unavailable
from moorage.domain.ids import ServerId

GUESTS = 2  # that talk; the other ports have none
LOOK_EVERY = 0.01  # seconds between two looks at what was reported
WITHIN = 60.0  # seconds for the new agent to report all
AROUND = 0.5  # seconds that the guests talk before, and after
TALK_ON = 4242  # UDP port


@dataclass(frozen=True)
class Restart:
    """What `bench restart --json` says; without guests that can talk (simulated) packets are None."""

    ports: int
    seconds: float  # from the old agent's end until the new one has reported every port
    packets_sent: int | None
    packets_lost: int | None


async def restart(access: Access, *, ports: int, say: Say) -> Restart:
    """Raises Unavailable when a port does not come up, before or after."""
    bench = access.cloud.workbench()
    say(f"booting {GUESTS} guests")
    addresses = await asyncio.gather(*(_guest(access, number) for number in range(GUESTS)))
    await bench.stop_compute()
    await _fill(access, bench, ports - GUESTS, say)
    async with talking(bench, addresses) as stream:
        await asyncio.sleep(AROUND)
        say("restarting the agent")
        seconds = await restarted(access, bench)
        await asyncio.sleep(AROUND)
    sent = None if stream is None else stream.sent
    lost = None if stream is None else stream.sent - stream.arrived
    return Restart(max(ports, GUESTS), round(seconds, 3), sent, lost)


def restart_json(found: Restart) -> Mapping[str, Any]:
    return asdict(found)


async def _guest(access: Access, number: int) -> tuple[ServerId, str]:
    server = await boots.ask(access, f"talks-{number}")
    address = await boots.addressed(access, server)
    if address is None:
        raise Unavailable(f"guest {server} has no address")
    await boots.port_of(access, server)
    return ServerId(server), address


async def _fill(access: Access, bench: Workbench, count: int, say: Say) -> None:
    """So many live ports more."""
    readiness = Readiness()
    with bench.listening(readiness.hear):
        say(f"making and plugging {count} ports more")
        vifs = await made_ports(access, bench, count)
        await plugged(bench, vifs)
        await readiness.until_ready([vif.port for vif in vifs])


async def restarted(access: Access, bench: Workbench) -> float:
    """Seconds until an agent that began anew has reported every port that was up."""
    loop = asyncio.get_running_loop()
    before = await bench.reported()
    began = loop.time()
    await access.cloud.stop_agent(bench.name)
    await access.cloud.start_agent(bench.name)

    async def all_are_reported() -> float | None:
        now = await bench.reported()
        is_new = all(port in now and now[port].epoch > mark.epoch for port, mark in before.items())
        return loop.time() - began if is_new else None

    took = await seen(all_are_reported, limit=WITHIN, every=LOOK_EVERY)
    if took is None:
        raise Unavailable(f"the new agent has not reported all of {len(before)} ports within {WITHIN:g} s")
    return took


@asynccontextmanager
async def talking(bench: Workbench, guests: list[tuple[ServerId, str]]) -> AsyncIterator[Stream | None]:
    """The first guest sends to the second meanwhile; None where guests are simulated."""
    world = bench.world
    if world is None:
        yield None
        return
    from moorage.adapters.netns.hypervisor import guest_name

    (one, _), (other, address) = guests
    with ExitStack() as opened:
        ends = [await world.socket(socket.AF_INET, socket.SOCK_DGRAM, namespace=guest_name(of)) for of in (one, other)]
        sender, receiver = (opened.enter_context(end) for end in ends)
        receiver.bind((address, TALK_ON))
        sender.connect((address, TALK_ON))
        sender.setblocking(True)
        stream = Stream(sender, receiver)
        stream.start()
        try:
            yield stream
        finally:
            await asyncio.to_thread(stream.stop)
