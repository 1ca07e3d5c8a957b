"""One boot followed from outside: through the APIs, the timeline, and what the cloud's owner can see."""

from collections.abc import Sequence
from datetime import UTC, datetime

from moorage.app.client import Json
from moorage.app.config import HostKind
from moorage.app.private_cloud import Access
from moorage.app.results import Boot, Step, hop_times, told_at
from moorage.app.watching import seen
from moorage.domain.errors import Unavailable
from moorage.domain.hops import Fact, Hop, SubFact
from moorage.domain.ids import PortId, device_name

IMAGE, FLAVOR, NETWORK = "moorage-guest", "m1.tiny", "private"
ADDRESS_LIMIT = {HostKind.SIMULATED: 10.0, HostKind.NETNS: 20.0, HostKind.QEMU: 90.0}  # seconds; TCG boots slowly
GRACE = 60.0  # seconds that a boot may take beyond vif_plugging_timeout
LAST_TOLD = (Hop.TOLD, Hop.HEARD, Hop.RUNNING)  # once each teller's last fact is there, so are those before
FACTS_LIMIT = 2.0  # seconds; facts reach the timeline a moment after what they tell of


async def ask(access: Access, name: str) -> str:
    """Ask for a server of the usual kind; its id."""
    return await access.member.create_server(name, image=IMAGE, flavor=FLAVOR, network=NETWORK)


async def ended(access: Access, server: str, *, every: float = 0.02) -> Json:
    """The server when its boot has ended, well or not. Raises Unavailable when it does not end."""
    limit = access.cloud.settings.vif_plugging_timeout + GRACE

    async def look() -> Json | None:
        body = await access.member.server(server)
        return body if body is None or body["status"] != "BUILD" else None

    body = await seen(look, limit=limit, every=every)
    if body is None:
        raise Unavailable(f"server {server} is still BUILD after {limit:g} s")
    return body


async def addressed(access: Access, server: str, *, limit: float | None = None, every: float = 0.01) -> str | None:
    """The address that the guest says it has; None when it gets none in time."""
    limit = ADDRESS_LIMIT[access.cloud.settings.host_kind] if limit is None else limit
    return await seen(lambda: access.cloud.guest_address(server), limit=limit, every=every)


async def port_of(access: Access, server: str) -> Json | None:
    """The server's port as an admin sees it; its device is noted, so that it is looked for at the end."""
    port = await access.admin.port_of(server)
    if port is not None and (device := device_name(PortId(port["id"]))) not in access.devices:
        access.devices.append(device)
    return port


async def told(access: Access, server: str, awaited: Sequence[Hop | SubFact]) -> list[Fact]:
    """The server's facts, once all those `awaited` are among them, or else as they are after a while."""
    facts: list[Fact] = []

    async def look() -> bool | None:
        nonlocal facts
        facts = await access.admin.facts(server)  # who is told of queues too
        return True if all(told_at(facts, what) is not None for what in awaited) else None

    await seen(look, limit=FACTS_LIMIT, every=0.02)
    return facts


async def gone(access: Access, server: str, *, limit: float = 60.0) -> bool:
    """Delete the server and wait until nobody knows it; whether that was so in time."""
    await access.member.delete_server(server)

    async def look() -> bool | None:
        return True if await access.member.server(server) is None else None

    return await seen(look, limit=limit, every=0.02) is True


def outcome(
    access: Access,
    *,
    kind: str,
    server: Json,
    port: Json | None,
    port_id: str | None,
    facts: Sequence[Fact],
    address: str | None,
    ping: bool | None,
    steps: Sequence[Step],
) -> Boot:
    """All that was seen of a boot. `port_id` is kept for a port that is gone by now."""
    return Boot(
        kind=kind,
        server=server["id"],
        port=port_id,
        host_kind=access.cloud.settings.host_kind.value,
        hops=hop_times(facts),
        server_status=server["status"],
        port_status=None if port is None else port["status"],
        address=address,
        ping=ping,
        fault=(server.get("fault") or {}).get("message"),
        steps=tuple(steps),
    )


def step(what: str, ok: bool | None) -> Step:
    """A step that was tried just now; without a time when it could not be, or was not so."""
    return Step(what, datetime.now(UTC) if ok else None, ok)
