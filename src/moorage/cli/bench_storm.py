"""`moorage bench storm`: many ports plugged at once."""

from typing import TYPE_CHECKING, Annotated

import typer

from moorage.cli.options import Json, Kind
from moorage.cli.output import output

if TYPE_CHECKING:
    from moorage.app.private_cloud import Access
    from moorage.app.storm import Storm


def command(
    ports: Annotated[int, typer.Option(min=1, help="How many ports.")] = 150,
    host_kind: Kind = None,
    json: Json = None,
) -> None:
    """Measure a host that comes back: all its ports are plugged at once, and each waits until it is ready.

    The ports are those of a cloud of its own, made and bound beforehand; they have devices, and no guests that run.
    """
    from moorage.app.storm import storm, storm_json
    from moorage.cli.private import chosen_kind, private_settings, run_privately, say_left

    with output(json) as out:
        kind = chosen_kind(host_kind, out)

        async def flow(access: "Access") -> "Storm":
            return await storm(access, ports=ports, say=out.preparing)

        found, _, left = run_privately(private_settings(kind), out, flow)
        out.say(f"  {found.ports} ports in {found.seconds:.3f} s, from the first that was plugged to the last ready:")
        out.say(f"  {found.ports_per_s:.0f} ports/s; plugged to ready in {found.p99_ms:.0f} ms or less for 99 of 100")
        out.say(
            f"  the agent sent {found.ovsdb_transactions} OVSDB transactions, {found.flow_batches} batches of flows"
        )
        say_left(out, left)
        out.give(storm_json(found))
    if left:
        raise typer.Exit(1)
