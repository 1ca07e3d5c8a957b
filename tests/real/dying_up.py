"""A `moorage up` that kills itself at a hop of a new boot: python -m tests.real.dying_up KIND HOP."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from moorage.app.all_in_one import AllInOne, run_cloud
from moorage.app.config import CloudSettings, HostKind
from moorage.app.state import StateDir, default_cache_dir, default_state_dir
from moorage.app.up import Report, up
from moorage.domain.hops import Fact, Hop
from moorage.seams.server_store import ServerQuery


@asynccontextmanager
async def dying(hop: Hop, settings: CloudSettings, say: Callable[[str], None]) -> AsyncIterator[AllInOne]:
    async with run_cloud(settings, say, is_lasting=True) as cloud:
        known = {None, *(server.id for server in await cloud.plane.compute.store.list(ServerQuery()))}
        told: list[Hop] = []

        def hear(fact: Fact) -> None:
            if fact.server in known or not isinstance(fact.what, Hop):
                return
            told.append(fact.what)
            if fact.what is hop:
                os.write(sys.stdout.fileno(), f"died of {' '.join(told)}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)

        cloud.plane.observed.listeners.append(hear)
        yield cloud


def tell(report: Report) -> None:
    os.write(sys.stdout.fileno(), f"{report.what} {report.text}\n".encode())


if __name__ == "__main__":
    kind, hop = HostKind(sys.argv[1]), Hop(sys.argv[2])
    state = StateDir(default_state_dir())
    settings = CloudSettings(state_dir=state.cloud, host_kind=kind, port=0, cache_dir=default_cache_dir())
    up(partial(dying, hop), settings, state, tell)
