"""What the processes with an API have, and hosts have not: a database, and their own view of whose a token is."""

from moorage.adapters.database.engine import Database
from moorage.adapters.http.trust_client import HttpTrust
from moorage.app.deadlines import ON_THE_BUS, limited
from moorage.app.serving.databases import opened
from moorage.app.serving.outside import Calling
from moorage.app.serving.part import Surroundings
from moorage.app.serving.patience import for_ever
from moorage.app.serving.process import Process
from moorage.app.serving.settings import ApiSettings
from moorage.domain.errors import Invalid
from moorage.identity.trusting import TrustingVerifier


async def database(process: Process, name: str, api: ApiSettings) -> Database:
    """The tables of the service `name`. One that does not answer yet is waited for. Raises Invalid."""
    settings = api.database or process.settings.database
    if settings is None:
        raise Invalid(f"{name} has no database: add a table [database] with a url")
    found = await process.stack.enter_async_context(opened(name, settings))
    process.databases.append(found)
    return found


async def verifier(process: Process, ways: Calling) -> TrustingVerifier:
    """Whose a token is; it has heard identity."""
    found = TrustingVerifier(HttpTrust(ways("identity", ways.tokens.user)), process.clock)
    await for_ever("identity", found.begin)
    process.runners.append(("trust", found.run))
    process.reasons.append(found.reasons)
    return found


async def surroundings(process: Process, ways: Calling) -> Surroundings:
    """What a service with an API finds here."""
    bus, timeline = await process.bus()
    limited_bus = limited("the bus", bus, but=ON_THE_BUS)
    return Surroundings(limited_bus, process.clock, timeline, await verifier(process, ways), ways)
