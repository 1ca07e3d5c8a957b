"""Which users guests' QEMUs run as (sub-fact held): nobody else's, and each guest one of its own. Pure."""

from hashlib import sha256
from pathlib import Path

FIRST, COUNT = 400_000, 65_536  # between what distributions give to people and what systemd gives to containers
SHARE = 1024  # for one host


def guest_uids(guests: Path, uid_map: str) -> range | None:
    """The user ids of the host that keeps its guests in `guests`; hosts, also of other clouds, seldom share any.

    None when `uid_map` (/proc/self/uid_map) says that this user namespace has not got them.
    """
    mapped = [(int(first), int(count)) for first, _, count in map(str.split, uid_map.splitlines())]
    if not any(first <= FIRST and first + count >= FIRST + COUNT for first, count in mapped):
        return None
    share = int.from_bytes(sha256(bytes(guests.absolute())).digest()[:4]) % (COUNT // SHARE)
    return range(FIRST + share * SHARE, FIRST + (share + 1) * SHARE)
