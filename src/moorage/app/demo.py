"""The demo: one boot, hop by hop, and the proof that its guest is on the network."""

from dataclasses import dataclass

import aiohttp

from moorage.app import boots
from moorage.app.boots import step
from moorage.app.config import HostKind
from moorage.app.control_words import control_socket
from moorage.app.forwarding import forwarding
from moorage.app.private_cloud import Access
from moorage.app.results import Boot, held_ms
from moorage.app.watching import seen
from moorage.domain.hops import Hop

PAGE_WITHIN = 5.0  # seconds until the guest serves its page
LOOK_EVERY = 0.1  # seconds


@dataclass(frozen=True)
class Shown:
    """A boot, with what only people are shown."""

    boot: Boot
    held_ms: float | None
    page: str | None


async def demo(access: Access, *, kind: str = "demo", with_page: bool = True) -> Shown:
    """Boot a guest; look for its address, ping it and (with `with_page`) fetch the page that it serves."""
    cloud = access.cloud
    can_be_reached = cloud.settings.host_kind is not HostKind.SIMULATED
    server = await boots.ask(access, kind)
    body = await boots.ended(access, server)
    is_active = body["status"] == "ACTIVE"
    steps = [step("server ACTIVE", is_active)]
    address = ping = page = None
    if is_active:
        address = await boots.addressed(access, server)
        steps.append(step("address obtained", address is not None))
    if address is not None:
        ping = await cloud.ping(server, address)
        steps.append(step("ping answered", ping))
    if address is not None and with_page:
        page = await _page(access, server, address) if can_be_reached else None
        steps.append(step("page fetched", page is not None if can_be_reached else None))
    facts = await boots.told(access, server, boots.LAST_TOLD if is_active else (Hop.ASKED,))
    port = await boots.port_of(access, server)
    boot = boots.outcome(
        access,
        kind=kind,
        server=await access.member.server(server) or body,
        port=port,
        port_id=None if port is None else port["id"],
        facts=facts,
        address=address,
        ping=ping,
        steps=steps,
    )
    return Shown(boot, held_ms(facts), page)


async def _page(access: Access, server: str, address: str) -> str | None:
    """The page that the guest serves, fetched from loopback as `moorage forward` carries it; None when none came.

    A cluster has nobody to carry it: there it is fetched from the guest's network.
    """
    door = control_socket(access.cloud.settings.state_dir)
    if not door.exists():
        return await access.cloud.fetch(server, address, patience=PAGE_WITHIN)
    async with forwarding(door, server, 80, ("127.0.0.1", 0), lambda _: None) as (address, port):

        async def look() -> str | None:
            try:
                async with aiohttp.request("GET", f"http://{address}:{port}/", timeout=_TIMEOUT) as answer:
                    return await answer.text() if answer.status == 200 else None
            except (aiohttp.ClientError, TimeoutError):
                return None  # nobody listens yet

        return await seen(look, limit=PAGE_WITHIN, every=LOOK_EVERY)


_TIMEOUT = aiohttp.ClientTimeout(total=PAGE_WITHIN)
