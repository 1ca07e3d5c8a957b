"""Ports that a fault strikes: those that are named, and a share of all others, always the same ones."""

import hashlib

from moorage.domain.ids import PortId


class Struck(set[PortId]):
    """A set of the ports that are named, which also contains `share` (0 … 1) of all ports, chosen by their ids."""

    def __init__(self, share: float = 0.0) -> None:
        super().__init__()
        self._share = share

    def __contains__(self, port: object) -> bool:
        return super().__contains__(port) or _lot(str(port)) < self._share


def _lot(port: str) -> float:
    """From 0 to below 1, evenly."""
    return int.from_bytes(hashlib.blake2b(port.encode(), digest_size=4).digest()) / (1 << 32)
