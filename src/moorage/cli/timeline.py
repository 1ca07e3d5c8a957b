"""`moorage timeline`: the ten hops of a server's latest boot."""

from typing import TYPE_CHECKING, Annotated

import typer

from moorage.cli.options import Json, OsCloud, State
from moorage.cli.output import BOLD, output

if TYPE_CHECKING:
    from moorage.app.client import Json as Body
    from moorage.domain.hops import Fact


def _named(value: str) -> str:
    if not value:
        raise typer.BadParameter("a server's name or id is wanted, not nothing")
    return value


def command(
    server: Annotated[str, typer.Argument(callback=_named, help="Its name or id.")],
    os_cloud: OsCloud = None,
    json: Json = None,
    state_dir: State = None,
) -> None:
    """Show the ten hops of a server's latest boot.

    Times are in ms since the server was asked for; a bar is the time since the hop before.
    """
    from moorage.app.client import logged_in
    from moorage.app.clouds_yaml import find_account
    from moorage.app.interrupts import run
    from moorage.app.results import held_ms, hop_times, hops_json, set_aside
    from moorage.app.state import StateDir, default_state_dir
    from moorage.cli.hop_lines import hop_lines

    state = StateDir((state_dir or default_state_dir()).absolute())
    account = find_account(os_cloud, state.clouds_yaml, is_first=state_dir is not None)

    async def look() -> "tuple[Body, list[Fact]]":
        async with logged_in(account) as client:
            body = await client.find_server(server)
            return body, await client.facts(body["id"])

    with output(json) as out:
        body, facts = run(look)
        hops = hop_times(facts)
        out.say(f"{out.style(body['name'], BOLD)} {body['id']} {body['status']}")
        for line in hop_lines(hops, held_ms(facts)):
            out.say(line)
        aside = set_aside(facts)
        for port, why in aside.items():
            out.say(f"  port {port} is set aside by its host's agent: {why}")
        told = {"server": body["id"], "name": body["name"], "status": body["status"], "hops": hops_json(hops)}
        out.give(told | ({"set_aside": aside} if aside else {}))
