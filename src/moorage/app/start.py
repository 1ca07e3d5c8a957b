"""The all-in-one, imported only when it is started: it brings every library along."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from moorage.app.cloud import Cloud
from moorage.app.config import CloudSettings


def start_cloud(settings: CloudSettings, progress: Callable[[str], None]) -> AbstractAsyncContextManager[Cloud]:
    from moorage.app.all_in_one import run_cloud

    return run_cloud(settings, progress)


def start_lasting_cloud(settings: CloudSettings, progress: Callable[[str], None]) -> AbstractAsyncContextManager[Cloud]:
    """One that takes over what a killed one has left alive, and is taken over itself when it is killed."""
    from moorage.app.all_in_one import run_cloud

    return run_cloud(settings, progress, is_lasting=True)
