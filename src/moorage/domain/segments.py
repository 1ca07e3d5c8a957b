"""Networks' segments and the levels at which a port is bound to one. Type `local`: one segment on each host."""

from dataclasses import dataclass
from enum import StrEnum


class NetworkType(StrEnum):
    LOCAL = "local"


@dataclass(frozen=True)
class Segment:
    """What a network is made of. `physical_network` and `segmentation_id` are None for type local."""

    id: str
    network_type: NetworkType = NetworkType.LOCAL
    physical_network: str | None = None
    segmentation_id: int | None = None


@dataclass(frozen=True)
class BindingLevel:
    """One driver's part in a binding; level 0 is the top. Ours has one level, the driver `openvswitch`."""

    level: int
    driver: str
    segment: str
