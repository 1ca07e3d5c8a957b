"""`moorage up`: the all-in-one in a state directory, until a signal ends it; in the foreground or detached."""

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Never

from moorage.app import processes
from moorage.app.cloud import Cloud
from moorage.app.clouds_yaml import rendered
from moorage.app.config import CloudSettings
from moorage.app.doctor import require_free
from moorage.app.interrupts import Interrupted, run
from moorage.app.logs import log_to
from moorage.app.private_cloud import RunCloud
from moorage.app.state import Running, StateDir, write_private
from moorage.domain.errors import MoorageError


@dataclass(frozen=True)
class Report:
    """A word from a cloud that is starting: `what` is pid, preparing, ready or failed."""

    what: str
    text: str


Tell = Callable[[Report], None]


def up(run_cloud: RunCloud, settings: CloudSettings, state: StateDir, tell: Tell) -> Never:
    """Run the cloud until a signal comes; raises Interrupted then, and what went wrong before."""
    with state.held():
        require_free(settings.address, settings.port)
        log_to(state.log)
        run(lambda: _serve(run_cloud, settings, state, tell))


async def _serve(run_cloud: RunCloud, settings: CloudSettings, state: StateDir, tell: Tell) -> Never:
    async with run_cloud(settings, lambda text: tell(Report("preparing", text))) as cloud:
        write_private(state.clouds_yaml, rendered(cloud.url, cloud.credentials))
        state.write_running(running_now(cloud))
        tell(Report("ready", cloud.url))
        await asyncio.get_running_loop().create_future()
    raise AssertionError("a cloud ended by itself")


def running_now(cloud: Cloud) -> Running:
    pid = os.getpid()
    return Running(
        pid=pid,
        started=processes.started(pid) or 0,
        listen=cloud.url.rpartition("//")[2],
        url=cloud.url,
        host_kind=cloud.settings.host_kind.value,
    )


@contextmanager
def detached(state: StateDir, main: Callable[[Tell], None]) -> Iterator[Iterator[Report]]:
    """Run `main` as a daemon, the state's log its output; gives its reports, the last when it is ready or has failed.

    Interrupted while it starts, the daemon is ended too.
    """
    state.make()
    incoming, outgoing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(incoming)
        _daemon(state, main, outgoing)
    os.close(outgoing)
    os.waitpid(child, 0)  # only the daemon's parent, which ends at once
    daemon: list[int] = []
    with os.fdopen(incoming) as lines:
        try:
            yield _reports(lines, daemon)
        except KeyboardInterrupt:
            for pid in daemon:
                os.kill(pid, signal.SIGTERM)
            for _ in lines:
                continue  # it closes; then its end of the pipe does
            raise


def _reports(lines: Iterator[str], daemon: list[int]) -> Iterator[Report]:
    for line in lines:
        report = Report(**json.loads(line))
        if report.what == "pid":
            daemon.append(int(report.text))
            continue
        yield report
        if report.what in {"ready", "failed"}:
            return
    yield Report("failed", "it ended without a word")


def _daemon(state: StateDir, main: Callable[[Tell], None], outgoing: int) -> Never:
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
    code = 1
    try:
        log = os.open(state.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with os.fdopen(outgoing, "w", buffering=1) as lines:
            code = _reporting(main, lines.write)
    finally:
        sys.stdout.flush()
        os._exit(code)


def _reporting(main: Callable[[Tell], None], write: Callable[[str], object]) -> int:
    def tell(report: Report) -> None:
        try:
            write(json.dumps({"what": report.what, "text": report.text}) + "\n")
        except BrokenPipeError:
            return  # whoever asked is gone: the cloud runs on

    tell(Report("pid", str(os.getpid())))
    try:
        main(tell)
    except Interrupted:
        return 0
    except MoorageError as error:
        tell(Report("failed", error.message))
    except Exception as error:
        traceback.print_exc()
        tell(Report("failed", f"{type(error).__name__}: {error}"))
    return 1
