"""The all-in-one, imported only when it is started: it brings every library along."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec

from moorage.app.cloud import Cloud
from moorage.app.config import RABBITMQ, CloudSettings, DatabaseKind, HostKind
from moorage.app.private_cloud import RunCloud


def start_cloud(settings: CloudSettings, progress: Callable[[str], None]) -> AbstractAsyncContextManager[Cloud]:
    from moorage.app.all_in_one import run_cloud

    return run_cloud(settings, progress)


def start_lasting_cloud(settings: CloudSettings, progress: Callable[[str], None]) -> AbstractAsyncContextManager[Cloud]:
    """One that takes over what a killed one has left alive, and is taken over itself when it is killed."""
    from moorage.app.all_in_one import run_cloud

    return run_cloud(settings, progress, is_lasting=True)


def own_cloud(kind: HostKind, bus: str, database: DatabaseKind) -> RunCloud:
    """Where both bus and database are servers of their own every service is one too, if this host can be one."""
    if database is DatabaseKind.SQLITE:
        return start_cloud
    is_spread = bus == RABBITMQ and kind is not HostKind.SIMULATED and os.geteuid() == 0
    return start_spread_cloud if is_spread else start_cloud_on_postgresql


def start_spread_cloud(settings: CloudSettings, progress: Callable[[str], None]) -> AbstractAsyncContextManager[Cloud]:
    from moorage.app.cluster.cloud import start_cluster

    return start_cluster(settings, progress)


@asynccontextmanager
async def start_cloud_on_postgresql(settings: CloudSettings, progress: Callable[[str], None]) -> AsyncIterator[Cloud]:
    from moorage.adapters.database.server import private_postgresql
    from moorage.app.private import let_pass

    progress("starting PostgreSQL …")
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    let_pass(settings.state_dir)
    async with private_postgresql(settings.state_dir / "postgresql") as server:
        url = server.make_database("moorage")
        async with start_cloud(msgspec.structs.replace(settings, database=url), progress) as cloud:
            yield cloud
