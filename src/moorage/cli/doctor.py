"""`moorage doctor`: whether this machine can run a kind of host."""

import typer

from moorage.app.config import HostKind
from moorage.cli.options import Json, Kind, Listen
from moorage.cli.output import output


def command(host_kind: Kind = None, listen: Listen = "127.0.0.1:8780", json: Json = None) -> None:
    """Look for what a kind of host needs.

    Says how to get what is missing; exit 1 when that kind (qemu, if none is named) cannot run.
    """
    from moorage.app.doctor import checks
    from moorage.app.state import StateDir, default_state_dir, parse_listen

    kind = host_kind or HostKind.QEMU
    address, port = parse_listen(listen)
    with output(json) as out:
        running = StateDir(default_state_dir().absolute()).running()
        found = checks(kind, address, port, running.listen if running else None)
        for check in found:
            out.say(f"  {out.mark(check.is_fine)} {check.what:<16} {check.found}")
            if check.is_fine is False and check.cure:
                out.say(f"    {check.cure}")
        is_fine = all(check.is_fine is not False for check in found)
        out.say(f"{kind.value} hosts can run here" if is_fine else f"{kind.value} hosts cannot run here")
        out.give(
            {
                "host_kind": kind.value,
                "ok": is_fine,
                "checks": [
                    {"what": check.what, "ok": check.is_fine, "found": check.found, "cure": check.cure or None}
                    for check in found
                ],
            }
        )
    if not is_fine:
        raise typer.Exit(1)
