"""`moorage bench restart`: an agent begins anew while its ports are in use."""

from typing import TYPE_CHECKING, Annotated

import typer

from moorage.cli.options import Json, Kind
from moorage.cli.output import output

if TYPE_CHECKING:
    from moorage.app.private_cloud import Access
    from moorage.app.restart import Restart


def command(
    ports: Annotated[int, typer.Option(min=2, help="How many live ports.")] = 150,
    host_kind: Kind = None,
    json: Json = None,
) -> None:
    """Measure a restart of the agent: how long until it has looked at all ports, and what two guests lose meanwhile.

    The guests, of kind netns, send one another 250 datagrams a second, of which every one is counted.
    """
    from moorage.app.config import HostKind
    from moorage.app.restart import restart, restart_json
    from moorage.cli.private import chosen_kind, private_settings, run_privately, say_left

    if host_kind is HostKind.QEMU:
        raise typer.BadParameter("guests of kind qemu have no way to count what they lose: take netns")
    with output(json) as out:
        kind = chosen_kind(host_kind or HostKind.NETNS, out)

        async def flow(access: "Access") -> "Restart":
            return await restart(access, ports=ports, say=out.preparing)

        found, _, left = run_privately(private_settings(kind), out, flow)
        out.say(f"  a new agent had looked at, and reported, all {found.ports} ports after {found.seconds:.3f} s")
        if found.packets_sent is not None:
            out.say(f"  {found.packets_lost} of {found.packets_sent} packets between two guests were lost")
        say_left(out, left)
        out.give(restart_json(found))
    if left:
        raise typer.Exit(1)
