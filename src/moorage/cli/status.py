"""`moorage status`: what runs, and how it is."""

import typer

from moorage.cli.options import Json, State
from moorage.cli.output import GREEN, RED, output


def command(json: Json = None, state_dir: State = None) -> None:
    """Show what runs: its address, memory and hosts. Exit 1 when nothing does."""
    from moorage.app.interrupts import run
    from moorage.app.state import StateDir, default_state_dir
    from moorage.app.status import status, status_json

    state = StateDir((state_dir or default_state_dir()).absolute())
    with output(json) as out:
        found = run(lambda: status(state))
        if found.running is not None:
            word = out.style("ready", GREEN) if found.is_ready else out.style("not ready", RED)
            running = found.running
            out.say(f"{word}: {running.url}, {running.host_kind} hosts, pid {running.pid}, {found.rss_mib:.0f} MiB")
        for host in found.hosts:
            of = host.ports + host.ports_pending
            late = f", catching up: {host.ports} of {of} ports are wired" if host.ports_pending else ""
            out.say(f"  {out.mark(host.is_alive)} {host.name:<20} {host.servers} servers{late}")
        if found.why_not:
            out.say(found.why_not)
        out.give(status_json(found))
    if not found.is_ready:
        raise typer.Exit(1)
