"""`moorage demo`: one boot, hop by hop."""

import html
import re
from typing import TYPE_CHECKING

import typer

from moorage.app.config import BusKind, DatabaseKind
from moorage.cli.called import called
from moorage.cli.options import Json, Kind, OwnBus, OwnDatabase
from moorage.cli.output import BOLD, NONE, Output, output

if TYPE_CHECKING:
    from moorage.app.demo import Shown


def command(
    host_kind: Kind = None,
    bus: OwnBus = BusKind.MEMORY,
    database: OwnDatabase = DatabaseKind.SQLITE,
    json: Json = None,
) -> None:
    """Boot one guest and show the ten hops.

    In a cloud of its own, of which nothing is left behind.
    """
    from moorage.app.demo import demo
    from moorage.app.private_cloud import Access
    from moorage.app.results import boot_json, with_steps
    from moorage.cli.private import chosen_kind, private_settings, run_privately, say_left

    with output(json) as out:
        kind = chosen_kind(host_kind, out)

        async def flow(access: Access) -> "Shown":
            out.preparing("booting a guest")
            shown = await demo(access)
            say_boot(out, shown)
            out.preparing("closing")
            return shown

        shown, nothing_left, left = run_privately(private_settings(kind, bus=bus), out, flow, database=database)
        boot = with_steps(shown.boot, [nothing_left])
        say_left(out, left)
        out.say(f"  next: {called()} up")
        out.give(boot_json(boot))
    if not boot.is_fine:
        raise typer.Exit(1)


def say_boot(out: Output, shown: "Shown") -> None:
    from moorage.cli.hop_lines import hop_lines

    boot = shown.boot
    out.say()
    for line in hop_lines(boot.hops, shown.held_ms):
        out.say(line)
    out.say()
    if boot.fault is not None:
        out.say(f"  {out.mark(False)} server {boot.server_status}: {boot.fault}")
    is_simulated = boot.host_kind == "simulated"
    out.say(f"  address {out.style(boot.address or NONE, BOLD)}")
    out.say(f"  ping {out.mark(boot.ping)}")
    if shown.page is not None:
        out.say(f"  page {out.mark(True)} {first_line(shown.page)}")
    else:
        out.say(f"  page {out.mark(None if is_simulated else False)}")


def first_line(page: str) -> str:
    """The first line of a page's text, without its markup."""
    text = html.unescape(re.sub(r"<title>.*?</title>|<[^>]*>", "", page, flags=re.DOTALL))
    return next((line.strip()[:60] for line in text.splitlines() if line.strip()), "")
