"""What a new cloud offers: two sizes of servers."""

from moorage.domain.errors import Conflict
from moorage.domain.ids import FlavorId
from moorage.domain.server import Flavor
from moorage.seams.server_store import ServerStore

FLAVORS = (
    Flavor(id=FlavorId("1"), name="m1.tiny", vcpus=1, ram=128, disk=0),
    Flavor(id=FlavorId("2"), name="m1.small", vcpus=1, ram=512, disk=1),
)


async def bootstrap(store: ServerStore) -> None:
    """Make the flavors that are not there yet; those that are stay as they are."""
    for flavor in FLAVORS:
        try:
            await store.add_flavor(flavor)
        except Conflict:
            continue
