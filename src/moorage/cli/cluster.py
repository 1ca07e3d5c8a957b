"""`moorage cluster`: boots in a cloud spread over processes, and how each message went."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moorage.app.config import BusKind, CloudSettings, DatabaseKind, HostKind
from moorage.cli.called import called
from moorage.cli.demo import say_boot
from moorage.cli.options import Json, Kind
from moorage.cli.output import BOLD, Output, output

if TYPE_CHECKING:
    from moorage.app.demo import Shown
    from moorage.app.private_cloud import Access
    from moorage.app.results import Step
    from moorage.app.state import StateDir


def command(
    host_kind: Kind = None,
    bus: Annotated[BusKind, typer.Option(help="What services and hosts talk over.")] = BusKind.RABBITMQ,
    boots: Annotated[int, typer.Option(min=1, help="How many servers to boot, one after the other.")] = 3,
    keep: Annotated[bool, typer.Option("--keep", help="Let it run on afterwards.")] = False,
    down: Annotated[bool, typer.Option("--down", help="End the one that was kept.")] = False,
    json: Json = None,
) -> None:
    """Start PostgreSQL, RabbitMQ, two processes of each API and a host's, and boot servers.

    Their timelines show by which exchange, routing key and queue each message went. Nothing is left behind.
    """
    from moorage.cli.private import chosen_kind, private_settings, run_privately, say_left
    from moorage.domain.errors import Unavailable

    if bus is BusKind.MEMORY:
        raise typer.BadParameter("processes have no memory in common: --bus rabbitmq")
    if host_kind is HostKind.SIMULATED:
        raise typer.BadParameter("simulated hosts live in one process: --host-kind netns, or qemu")
    with output(json) as out:
        if down:
            _end_kept(out)
            return
        if os.geteuid() != 0:
            raise Unavailable("a cluster's host has a holder, which is root's: run it as root")
        kind = chosen_kind(host_kind or _real_kind(), out)

        async def flow(access: "Access") -> "list[Shown]":
            return await _booted(access, boots, out)

        settings = private_settings(kind, bus=bus)
        if keep:
            shown, steps = _kept(settings, out, flow)
        else:
            shown, nothing_left, left = run_privately(settings, out, flow, database=DatabaseKind.POSTGRESQL)
            steps = [nothing_left]
            say_left(out, left)
        is_fine = _give(out, shown, steps)
    if not is_fine:
        raise typer.Exit(1)


async def _booted(access: "Access", count: int, out: Output) -> "list[Shown]":
    from moorage.app.demo import demo

    shown = []
    for number in range(1, count + 1):
        out.preparing(f"booting guest {number} of {count}")
        shown.append(await demo(access, kind="cluster"))
        out.say(out.style(f"server {shown[-1].boot.server}", BOLD))
        say_boot(out, shown[-1])
    out.preparing("closing")
    return shown


def _give(out: Output, shown: "list[Shown]", steps: "list[Step]") -> bool:
    """The last boot as `demo` gives it, and all of them; whether they were fine."""
    from moorage.app.results import boot_json, with_steps

    boots = [with_steps(one.boot, steps) for one in shown]
    out.give({**boot_json(boots[-1]), "boots": [boot_json(boot) for boot in boots]})
    return all(boot.is_fine for boot in boots)


def _real_kind() -> HostKind:
    """Processes of their own have no simulated hosts."""
    from moorage.app.doctor import hindrances

    return HostKind.NETNS if hindrances(HostKind.QEMU) else HostKind.QEMU


def _kept(
    settings: CloudSettings, out: Output, flow: "Callable[[Access], Awaitable[list[Shown]]]"
) -> "tuple[list[Shown], list[Step]]":
    """Boot in a cluster that stays. One that could not be used is ended."""
    from moorage.app.cluster.kept import end_kept, kept_cloud, layout_of_kept, started_to_stay, state_of_kept
    from moorage.app.interrupts import run
    from moorage.app.private_cloud import at_hand
    from moorage.domain.errors import Unavailable

    with started_to_stay(settings) as reports:
        for report in reports:
            if report.what == "failed":
                raise Unavailable(report.text)
            out.preparing(report.text if report.what == "preparing" else "ready")

    async def boot() -> "list[Shown]":
        async with kept_cloud(settings) as cloud, at_hand(cloud) as access:
            return await flow(access)

    is_used = False
    try:
        shown = run(boot)
        is_used = True
    finally:
        if not is_used:
            end_kept(out.preparing)
    _say_how_to_use(out, layout_of_kept().place, state_of_kept())
    return shown, []


def _say_how_to_use(out: Output, place: Path, state: "StateDir") -> None:
    me = called()
    out.say("  it runs on:")
    out.say(f"    export OS_CLIENT_CONFIG_FILE={state.clouds_yaml} OS_CLOUD=moorage")
    out.say("    openstack server create --image moorage-guest --flavor m1.tiny --network private --wait hello")
    out.say(f"    {me} timeline hello --os-cloud moorage-admin")
    out.say(f'    {me} bus dead --bus "$(cat {place}/rabbitmq/url)"')
    out.say(f'    psql "postgresql://moorage@/moorage?host={place}/postgresql"')
    out.say(f"    settings are {place}/*.toml, logs {place}/log/*.log")
    out.say(f"  and ends by: {me} cluster --down")


def _end_kept(out: Output) -> None:
    from moorage.app.cluster.kept import end_kept

    out.say("the cluster has ended" if end_kept(out.preparing) else "no cluster runs")
