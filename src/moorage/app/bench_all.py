"""Every bench, one after the other, each in a process of its own, so that none feels what another has left."""

import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from moorage.app import figures
from moorage.app.bench_start import start, start_json
from moorage.app.config import HostKind
from moorage.app.doctor import hindrances
from moorage.app.figures import Figure
from moorage.app.private_cloud import Say
from moorage.domain.errors import Unavailable

LONGEST = 900.0  # seconds for one bench


@dataclass(frozen=True)
class Sizes:
    """How much of each. `crowd` boots are asked for at once."""

    logins: int = 40
    boots: int = 20
    crowd: int = 50
    qemu_boots: int = 5
    ports: int = 150


SHORT = Sizes(logins=5, boots=2, crowd=4, qemu_boots=1, ports=8)


@dataclass(frozen=True)
class All:
    figures: Sequence[Figure]
    machine: Mapping[str, Any]


async def bench_all(sizes: Sizes, say: Say) -> All:
    """Raises Unavailable when a bench fails. What this machine cannot run is left out, with the reason."""
    before = figures.machine()
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="moorage-bench-") as place:
        say("moorage up, on simulated hosts, and logins")
        found += figures.start_figures(msgspec.to_builtins(start_json(await start(Path(place), logins=sizes.logins))))
        handshake = ["handshake", "--host-kind"]
        if why := _hindrance(HostKind.NETNS):
            found += figures.missing(["netns", "storm", "agent restart"], why)
        else:
            say(f"{sizes.boots} boots on netns hosts, one at a time")
            found += figures.single_figures(await _bench([*handshake, "netns", "--boots", str(sizes.boots)]))
            say(f"{sizes.crowd} boots on netns hosts at once")
            crowd = [*handshake, "netns", "--boots", str(sizes.crowd), "--concurrency", str(sizes.crowd)]
            found += figures.crowd_figures(await _bench(crowd), sizes.crowd)
        if why := _hindrance(HostKind.QEMU):
            found += figures.missing(["qemu"], why)
        else:
            say(f"{sizes.qemu_boots} boots on qemu hosts, one at a time")
            found += figures.qemu_figures(await _bench([*handshake, "qemu", "--boots", str(sizes.qemu_boots)]))
        if not _hindrance(HostKind.NETNS):
            say(f"a storm of {sizes.ports} ports")
            storm = ["storm", "--host-kind", "netns", "--ports", str(sizes.ports)]
            found += figures.storm_figures(await _bench(storm))
            say(f"a restart of the agent with {sizes.ports} ports")
            found += figures.restart_figures(await _bench(["restart", "--ports", str(sizes.ports)]))
    return All(
        found, {"cores": before["cores"], "load_before": before["load"], "load_after": figures.machine()["load"]}
    )


def all_json(found: All) -> Mapping[str, Any]:
    return {"machine": found.machine, "figures": [figures.figure_json(figure) for figure in found.figures]}


def _hindrance(kind: HostKind) -> str:
    return "; ".join(f"{check.found}: {check.cure}" for check in hindrances(kind))


async def _bench(arguments: Sequence[str]) -> Mapping[str, Any]:
    """What `moorage bench …` says as JSON. Raises Unavailable, with its last words."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "moorage.cli.entry", "bench", *arguments, "--json", "-"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LONGEST):
            told, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    try:
        return dict(msgspec.json.decode(told, type=dict[str, Any]))
    except msgspec.MsgspecError:
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise Unavailable(f"moorage bench {' '.join(arguments)} ended with {process.returncode}: {last}") from None
