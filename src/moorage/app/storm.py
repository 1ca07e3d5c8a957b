"""`bench storm`: a host comes back, and all its ports are plugged at once."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from moorage.app.bench import spread
from moorage.app.plugging import Readiness, made_ports, plugged
from moorage.app.private_cloud import Access, Say
from moorage.domain.ids import PortId


@dataclass(frozen=True)
class Storm:
    """What `bench storm --json` says. The counts are those of the host's agent, taken where it sends."""

    ports: int
    seconds: float  # from the first port that was plugged to the last that was ready
    ports_per_s: float
    p99_ms: float  # plugged to ready
    ovsdb_transactions: int
    flow_batches: int


async def storm(access: Access, *, ports: int, say: Say) -> Storm:
    """Plug so many ports at once. Raises Unavailable when one of them does not become ready."""
    bench, readiness = access.cloud.workbench(), Readiness()
    await bench.stop_compute()
    with bench.listening(readiness.hear):
        say(f"making and binding {ports} ports")
        vifs = await made_ports(access, bench, ports)
        wanted = [vif.port for vif in vifs]
        await readiness.until_reserved(wanted)
        await access.cloud.settled()
        say(f"plugging {ports} ports at once")
        transactions, batches = bench.transactions, bench.flow_batches
        at = await plugged(bench, vifs)
        await readiness.until_ready(wanted)
    return storm_of(at, readiness.ready, bench.transactions - transactions, bench.flow_batches - batches)


def storm_of(
    plugged_at: Mapping[PortId, float], ready_at: Mapping[PortId, float], transactions: int, batches: int
) -> Storm:
    """The figures, of times in seconds on one clock."""
    seconds = max(ready_at[port] for port in plugged_at) - min(plugged_at.values())
    waits = spread([max(0.0, ready_at[port] - at) * 1000 for port, at in plugged_at.items()])
    assert waits.p99 is not None
    return Storm(
        ports=len(plugged_at),
        seconds=round(seconds, 3),
        ports_per_s=round(len(plugged_at) / seconds, 1),
        p99_ms=waits.p99,
        ovsdb_transactions=transactions,
        flow_batches=batches,
    )


def storm_json(found: Storm) -> Mapping[str, Any]:
    return asdict(found)
