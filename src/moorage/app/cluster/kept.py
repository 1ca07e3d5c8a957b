"""A cluster that runs on in the background: one a user, started, found again, ended."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

import msgspec

from moorage.app.cloud import Cloud
from moorage.app.cluster.layout import Layout, found_layout
from moorage.app.config import CloudSettings
from moorage.app.down import down
from moorage.app.logs import logging_to
from moorage.app.private import open_area, private_place
from moorage.app.start import start_spread_cloud
from moorage.app.state import StateDir, default_state_dir, write_private
from moorage.app.up import Report, Tell, detached, up
from moorage.domain.errors import Conflict, Unavailable

PLACE = "place"  # a file: where it is
GONE_WITHIN = 20.0  # seconds from its last process to its last file


def state_of_kept() -> StateDir:
    return StateDir(default_state_dir() / "cluster")


def started_to_stay(settings: CloudSettings) -> AbstractContextManager[Iterator[Report]]:
    """Start one in the background; gives its reports, the last when it is ready or has failed. Raises Conflict."""
    state = state_of_kept()
    if state.is_held():
        raise Conflict("a cluster runs already: --down ends it")

    def main(tell: Tell) -> None:
        with private_place(open_area()) as place:
            write_private(state.path / PLACE, str(place / "c"))
            up(start_spread_cloud, msgspec.structs.replace(settings, state_dir=place / "c", port=0), state, tell)

    return detached(state, main)


def layout_of_kept() -> Layout:
    return found_layout(_place())


@asynccontextmanager
async def kept_cloud(settings: CloudSettings) -> AsyncIterator[Cloud]:
    """The one that runs, looked at from here. Raises Unavailable."""
    from moorage.app.cluster.cloud import attached

    layout = layout_of_kept()
    settings = msgspec.structs.replace(settings, state_dir=layout.place)
    with logging_to(layout.log("looks")):
        async with attached(settings, layout) as cloud:
            yield cloud


def end_kept(say: Callable[[str], None]) -> bool:
    """End it, with all that is its; False when none runs. Raises Unavailable, Conflict."""
    state = state_of_kept()
    is_there = down(state, say)
    if (state.path / PLACE).exists():
        _wait_until_gone(_place())
        (state.path / PLACE).unlink()
    state.purge()
    StateDir(default_state_dir()).remove_if_empty()
    return is_there


def _place() -> Path:
    return Path((state_of_kept().path / PLACE).read_text())


def _wait_until_gone(place: Path) -> None:
    until = time.monotonic() + GONE_WITHIN
    while place.parent.exists():
        if time.monotonic() > until:
            raise Unavailable(f"{place.parent} is still there: is a process of it alive?")
        time.sleep(0.02)
