"""`moorage forward`: a port of a guest, on this machine."""

from typing import Annotated

import typer

from moorage.app.state import parse_listen
from moorage.cli.options import OsCloud, State, listen_address
from moorage.cli.output import BOLD, output


def command(
    server: Annotated[str, typer.Argument(help="Its name or id.")],
    port: Annotated[int, typer.Argument(min=1, max=65535, help="A TCP port of the guest.")],
    listen: Annotated[
        str,
        typer.Option(
            metavar="ADDR:PORT", callback=listen_address, help="Where connections are taken; port 0: any free."
        ),
    ] = "127.0.0.1:0",
    os_cloud: OsCloud = None,
    state_dir: State = None,
) -> None:
    """Carry TCP connections into a guest, until Ctrl-C.

    Security groups hold for them as for anybody in the guest's network.
    """
    from moorage.app.forwarding import forwarding
    from moorage.app.interrupts import run
    from moorage.app.reaching import find_in, try_port

    with output() as out:

        async def main() -> None:
            found = await find_in(os_cloud, state_dir, server)
            if hindrance := await try_port(found, port):
                out.say(f"{hindrance}; it is tried again with each connection")
            async with forwarding(found.door, found.server, port, parse_listen(listen), out.say) as (address, own):
                place = out.style(f"[{address}]:{own}" if ":" in address else f"{address}:{own}", BOLD)
                out.say(f"{place} is port {port} of {found.name}; Ctrl-C ends it")
                await forever()

        run(main)


async def forever() -> None:
    import asyncio

    await asyncio.get_running_loop().create_future()
