"""`moorage db upgrade`: the services' tables made, or brought up to date."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from moorage.adapters.database.schemas import SCHEMAS
from moorage.domain.errors import Invalid

SERVICES = tuple(schema.name for schema in SCHEMAS)


@dataclass(frozen=True)
class Upgraded:
    """Which migration a service's tables stood at (None: there were none), and stand at."""

    service: str
    before: str | None
    after: str


async def upgraded(url: str, services: Collection[str] = ()) -> AsyncIterator[Upgraded]:
    """Each service in turn, of all or of some. Raises Invalid for a newer version's, Unavailable."""
    from moorage.adapters.database.postgresql import upgrade_postgresql

    for unknown in sorted(set(services) - set(SERVICES)):
        raise Invalid(f"there is no service {unknown}: {', '.join(SERVICES)}")
    for schema in SCHEMAS:
        if not services or schema.name in services:
            yield Upgraded(schema.name, *await upgrade_postgresql(url, schema))
