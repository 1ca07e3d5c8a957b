"""`moorage up`: the all-in-one in a state directory, until a signal ends it; in the foreground or detached."""

import asyncio
import json
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Never

import structlog

from moorage.app import processes
from moorage.app.causes import foreseen, only_cause, unforeseen
from moorage.app.cloud import Cloud
from moorage.app.clouds_yaml import rendered
from moorage.app.config import CloudSettings
from moorage.app.interrupts import Interrupted, heeding, run
from moorage.app.listening import require_free
from moorage.app.logs import log_to
from moorage.app.private_cloud import RunCloud
from moorage.app.state import Running, StateDir, write_private

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Report:
    """A word from a cloud that is starting: `what` is pid, preparing, ready or failed."""

    what: str
    text: str


Tell = Callable[[Report], None]


def up(run_cloud: RunCloud, settings: CloudSettings, state: StateDir, tell: Tell) -> Never:
    """Run the cloud until a signal comes; raises Interrupted then, and what went wrong before."""
    run(partial(_serve, run_cloud, settings, state, tell))
    raise AssertionError("a cloud ended by itself")


async def _serve(run_cloud: RunCloud, settings: CloudSettings, state: StateDir, tell: Tell) -> None:
    with state.held():
        require_free(settings.address, settings.port)
        log_to(state.log, settings.log_format)
        await _until_cancelled(run_cloud, settings, state, tell)


async def _until_cancelled(run_cloud: RunCloud, settings: CloudSettings, state: StateDir, tell: Tell) -> None:
    async with run_cloud(settings, lambda text: tell(Report("preparing", text))) as cloud:
        write_private(state.clouds_yaml, rendered(cloud.url, cloud.credentials))
        state.write_running(running_now(cloud))
        tell(Report("ready", cloud.url))
        await asyncio.get_running_loop().create_future()


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

    Interrupted while it starts, the daemon is ended too: raises Interrupted once it has closed.
    """
    made = state.make()
    incoming, outgoing = os.pipe()
    starting = _Starting()
    try:
        with heeding(starting.stop):
            child = os.fork()
            if child == 0:
                os.close(incoming)
                _daemon(state, main, outgoing)
            os.close(outgoing)
            os.waitpid(child, 0)  # only the daemon's parent, which ends at once
            with os.fdopen(incoming) as lines:
                yield starting.reports(lines)
    finally:
        if made:
            state.remove_if_empty()


class _Starting:
    """A daemon that starts, and is told to end when we are, as soon as we know its number."""

    def __init__(self) -> None:
        self.pid: int | None = None
        self._is_stopped = False

    def stop(self) -> None:
        self._is_stopped = True
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def reports(self, lines: Iterator[str]) -> Iterator[Report]:
        for line in lines:
            report = Report(**json.loads(line))
            if report.what == "pid":
                self.pid = int(report.text)
                if self._is_stopped:
                    self.stop()
            elif not self._is_stopped:
                yield report
                if report.what in {"ready", "failed"} and not self._is_stopped:
                    return
        if self._is_stopped:  # and it has closed: its end of the pipe has
            raise Interrupted
        yield Report("failed", "it ended without a word")


def _daemon(state: StateDir, main: Callable[[Tell], None], outgoing: int) -> Never:
    code = 1
    try:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _end)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with os.fdopen(outgoing, "w", buffering=1) as lines:
            code = _reporting(state, main, lines.write)
    finally:
        os._exit(code)


def _end(_number: int, _frame: object) -> None:
    """For a signal before the cloud heeds them."""
    raise KeyboardInterrupt


def _reporting(state: StateDir, main: Callable[[Tell], None], write: Callable[[str], object]) -> int:
    def tell(report: Report) -> None:
        try:
            write(json.dumps({"what": report.what, "text": report.text}) + "\n")
        except BrokenPipeError:
            return  # whoever asked is gone: the cloud runs on

    tell(Report("pid", str(os.getpid())))
    try:
        _speak_into(state)
        main(tell)
    except Interrupted:
        return 0
    except Exception as error:
        cause = only_cause(error)
        said = foreseen(cause)
        if said is None:
            traceback.print_exc()
            said = f"{unforeseen(cause)} (the log is {state.log})"
        log.error("the cloud has ended", reason=said)
        tell(Report("failed", said))
    return 1


def _speak_into(state: StateDir) -> None:
    """The state's log is our output from now on."""
    log = os.open(state.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(log)
    os.close(nothing)
