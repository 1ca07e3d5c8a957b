"""What `demo`, `experiment` and `bench` share: choosing a kind of host, and running a flow in a private cloud."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from moorage.app.config import BusKind, CloudSettings, DatabaseKind, HostKind
from moorage.cli.output import Output

if TYPE_CHECKING:
    from moorage.app.private_cloud import Access
    from moorage.app.results import Step

T = TypeVar("T")


def chosen_kind(asked: HostKind | None, out: Output) -> HostKind:
    """The kind asked for, else the best that can run here, saying why if it is not the real one.

    Raises Unavailable, with the cure, when the kind asked for cannot run.
    """
    from moorage.app.doctor import best_kind, hindrances
    from moorage.domain.errors import Unavailable

    if asked is None:
        kind, why = best_kind()
        if why:
            out.say(why)
        return kind
    for check in hindrances(asked):
        raise Unavailable(f"{asked.value} hosts cannot run here: {check.found}; {check.cure}")
    return asked


def private_settings(
    kind: HostKind,
    *,
    vif_plugging_timeout: float = 300.0,
    vif_plugging_is_fatal: bool = True,
    bus: BusKind = BusKind.MEMORY,
) -> CloudSettings:
    """Settings of a private cloud; its place and port are chosen when it starts."""
    from moorage.app.state import default_cache_dir

    return CloudSettings(
        state_dir=Path(),
        host_kind=kind,
        port=0,
        vif_plugging_timeout=vif_plugging_timeout,
        vif_plugging_is_fatal=vif_plugging_is_fatal,
        bus=bus.value,
        cache_dir=default_cache_dir(),
    )


def run_privately(
    settings: CloudSettings,
    out: Output,
    flow: "Callable[[Access], Awaitable[T]]",
    *,
    database: DatabaseKind = DatabaseKind.SQLITE,
) -> "tuple[T, Step, list[str]]":
    """What `flow` found in a cloud of its own, and whether that cloud has left anything behind."""
    from moorage.app.interrupts import run
    from moorage.app.private import open_area
    from moorage.app.private_cloud import in_private
    from moorage.app.start import own_cloud
    from moorage.app.state import failure_log

    cloud = own_cloud(settings.host_kind, settings.bus, database)
    within = open_area() if database is DatabaseKind.POSTGRESQL else None
    return run(
        lambda: in_private(cloud, settings, out.preparing, flow, keep_log=failure_log(), within=within),
        dies_with_parent=True,
    )


def say_left(out: Output, left: list[str]) -> None:
    """That nothing is left behind; or what is."""
    if left:
        out.say(f"  {out.mark(False)} left behind: {', '.join(left)}")
    else:
        out.say("  nothing left behind")
