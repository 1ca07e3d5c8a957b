"""`moorage bench handshake`: how long the handshake takes, beside its floor."""

from typing import TYPE_CHECKING, Annotated

import typer

from moorage.app.config import BusKind, DatabaseKind
from moorage.cli.options import Json, Kind, OwnBus, OwnDatabase
from moorage.cli.output import NONE, output

if TYPE_CHECKING:
    from moorage.app.bench import Handshake, Spread


def command(
    host_kind: Kind = None,
    boots: Annotated[int, typer.Option(min=1, help="How many boots.")] = 20,
    concurrency: Annotated[int, typer.Option(min=1, help="How many at a time.")] = 1,
    bus: OwnBus = BusKind.MEMORY,
    database: OwnDatabase = DatabaseKind.SQLITE,
    json: Json = None,
) -> None:
    """Measure the handshake, plugged to running.

    Boots guests in a cloud of its own, each deleted once it has its address, so that the bridge does not grow.
    """
    from moorage.app.bench import handshake, handshake_json
    from moorage.app.private_cloud import Access
    from moorage.cli.private import chosen_kind, private_settings, run_privately, say_left

    with output(json) as out:
        kind = chosen_kind(host_kind, out)

        async def flow(access: Access) -> "Handshake":
            return await handshake(access, count=boots, concurrency=concurrency, say=out.preparing)

        found, _, left = run_privately(private_settings(kind, bus=bus), out, flow, database=database)
        for line in handshake_lines(found):
            out.say(line)
        say_left(out, left)
        out.give(handshake_json(found))
    if found.boots < boots or left:
        raise typer.Exit(1)


def handshake_lines(found: "Handshake") -> list[str]:
    from moorage.app.bench import beside_floor

    lines = [f"  {'ms since asked':<20}{'min':>10}{'median':>10}{'p99':>10}"]
    lines += [spread_line(hop.value, times) for hop, times in found.hops.items()]
    lines += ["", spread_line("plugged to running", found.plugged_to_running_ms)]
    overhead, ratio = beside_floor(found.plugged_to_running_ms.median, found.floor_ms)
    lines.append(f"  {'floor':<20}{'':>10}{_number(found.floor_ms)}")
    if overhead is not None and ratio is not None:
        lines.append(f"  the median is {ratio:.2f} times the floor, {overhead:.1f} ms above it")
    lines.append(
        f"  {found.boots} of {found.asked} became ACTIVE, {found.concurrency} at a time, device {found.device}: "
        f"{_rate(found.boots_per_s)} boots/s, {_rate(found.addresses_per_s)} addresses/s"
    )
    return lines


def spread_line(what: str, times: "Spread") -> str:
    return f"  {what:<20}{_number(times.min)}{_number(times.median)}{_number(times.p99)}"


def _number(value: float | None) -> str:
    return f"{NONE:>10}" if value is None else f"{value:>10.1f}"


def _rate(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"
