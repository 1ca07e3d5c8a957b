"""`moorage serve`: one process of a cloud, until it is told to stop."""

import asyncio
import grp
import os
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Never

from moorage.app.interrupts import Interrupted, run
from moorage.app.logs import log_to_stderr
from moorage.app.serving.checking import wrong_in
from moorage.app.serving.reading import read_file
from moorage.app.serving.settings import ServeSettings, Service
from moorage.domain.errors import Invalid
from moorage.kit.retry import no_words_of_retries


def run_service(service: Service, config: Path) -> None:
    """Returns when a signal has asked it to end, and it has closed in order. Raises Invalid, saying all that is wrong
    with the file; Conflict, when somebody else listens there."""
    settings = checked(service, config)
    if service is Service.HOLDER:
        become_holder(settings)
    log_to_stderr(settings.log_format)
    no_words_of_retries()
    try:
        run(partial(_until_cancelled, service, settings))
    except Interrupted:
        return


def become_holder(settings: ServeSettings) -> Never:
    """In place of this process: it is small, has one thread, and knows nothing of the rest."""
    ours, host = settings.holder, settings.host
    assert ours is not None
    assert host is not None
    words = ["--machine", f"--socket={host.holder}", f"--group={grp.getgrnam(ours.group).gr_gid}"]
    words += [] if ours.guests is None else [f"--guests={ours.guests}"]
    os.execv(sys.executable, [sys.executable, "-m", "moorage.adapters.world.holder", *words])


def checked(service: Service, config: Path) -> ServeSettings:
    """Raises Invalid, saying all that keeps the service from starting."""
    said = read_file(config)
    wrong = wrong_in(said, [service])
    if said.settings is None or wrong:
        raise Invalid(f"{config}: {'; '.join(map(str, wrong))}")
    return said.settings


async def _until_cancelled(service: Service, settings: ServeSettings) -> None:
    async with _process(service)(settings):
        await asyncio.get_running_loop().create_future()


def _process(service: Service) -> Callable[[ServeSettings], AbstractAsyncContextManager[None]]:
    """How the service's process is put together: only what it needs is imported."""
    module = import_module(f"moorage.app.serving.{service.name.lower()}")
    serve: Callable[[ServeSettings], AbstractAsyncContextManager[None]] = module.serve
    return serve
