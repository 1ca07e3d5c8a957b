"""The tables of all services."""

from moorage.adapters.database.compute_tables import COMPUTE
from moorage.adapters.database.identity_tables import IDENTITY
from moorage.adapters.database.images import IMAGE
from moorage.adapters.database.network_tables import NETWORK
from moorage.adapters.database.timeline import TIMELINE

SCHEMAS = (IDENTITY, IMAGE, COMPUTE, NETWORK, TIMELINE)
