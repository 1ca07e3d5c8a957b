"""`moorage db upgrade`: tables for this version of Moorage."""

from typing import Annotated

import typer

from moorage.cli.options import Database
from moorage.cli.output import Output, output


def command(
    database: Database = None,
    service: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this service's, which may be given several times.")
    ] = None,
) -> None:
    """Make the services' tables in a PostgreSQL, or bring them up to date. Repeatable.

    End the processes that use them first: an older version does not read newer tables. (SQLite files are brought up to
    date by `moorage up`, which keeps them as they were.)
    """
    from moorage.app.interrupts import run

    if database is None:
        raise typer.BadParameter("say where: --database postgresql://USER@HOST/NAME, or MOORAGE_DATABASE")
    with output() as out:
        run(lambda: _upgrade(out, database, service or []))


async def _upgrade(out: Output, database: str, services: list[str]) -> None:
    from moorage.app.upgrading import upgraded

    async for done in upgraded(database, services):
        if done.before == done.after:
            out.say(f"{done.service}: up to date ({done.after})")
        else:
            out.say(f"{done.service}: {'made' if done.before is None else f'{done.before} →'} {done.after}")
