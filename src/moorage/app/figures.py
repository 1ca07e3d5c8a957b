"""All that is measured as one table: each figure with its goal, its floor, and what a real OpenStack takes."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Found = Mapping[str, Any]  # what a bench's --json says


@dataclass(frozen=True)
class Figure:
    """`measured` None: could not be taken here, `why` says why. `goal` is the most, or the least, that is wanted.

    `openstack` is what a real OpenStack took on a machine of this kind (Nova 26.2, Neutron 21.0 with Open vSwitch).
    """

    name: str
    measured: float | None
    unit: str
    goal: float | None = None
    is_least: bool = False
    floor: float | None = None
    openstack: str = ""
    why: str = ""

    @property
    def is_met(self) -> bool | None:
        """None where there is no goal, or nothing was measured."""
        if self.goal is None or self.measured is None:
            return None
        return self.measured >= self.goal if self.is_least else self.measured <= self.goal


def start_figures(start: Found) -> list[Figure]:
    return [
        Figure("up, simulated: first API answer", start["first_answer_s"], "s", goal=2.0, openstack="28 s"),
        Figure("up, simulated: memory at rest", start["idle_rss_mib"], "MiB", goal=150.0, openstack="4,674 MiB"),
        Figure("a login, median", start["login_ms"]["median"], "ms", goal=40.0),
        Figure(
            "another request while logins run, p99",
            start["others_in_logins_ms"]["p99"],
            "ms",
            floor=start["others_ms"]["p99"],
        ),
    ]


def single_figures(netns: Found) -> list[Figure]:
    floor = netns["floor_ms"]["median"]
    handshake = netns["plugged_to_running_ms"]["median"]
    return [
        Figure("netns: plugged to running, median", handshake, "ms", goal=20.0, floor=floor, openstack="1,600 ms"),
        Figure("netns: plugged to running, above the floor", netns["overhead_ms"], "ms", goal=10.0),
        Figure("netns: asked to running, median", netns["hops"]["running"]["median"], "ms", openstack="6,700 ms"),
    ]


def crowd_figures(netns: Found, asked: int) -> list[Figure]:
    crowd, floor = netns["concurrency"], netns["floor_ms"]["median"]
    handshake = netns["plugged_to_running_ms"]["median"]
    return [
        Figure(f"netns, {crowd} at once: boots", netns["boots_per_s"], "/s", 20.0, is_least=True, openstack="0.3 /s"),
        Figure(f"netns, {crowd} at once: not ACTIVE", asked - netns["boots"], f"of {asked}", goal=0),
        Figure(f"netns, {crowd} at once: plugged to running", handshake, "ms", floor=floor, openstack="3,300 ms"),
    ]


def qemu_figures(qemu: Found) -> list[Figure]:
    floor, woken = qemu["floor_ms"]["median"], qemu["plugged_to_woken_ms"]["median"]
    address = qemu["asked_to_address_ms"]["median"]
    seconds = None if address is None else round(address / 1000, 2)
    return [
        Figure("qemu: asked to address, median", seconds, "s", goal=3.0, openstack="6.7 s to ACTIVE"),
        Figure("qemu: plugged to woken, median", woken, "ms", goal=20.0, floor=floor, openstack="1,600 ms"),
    ]


def storm_figures(storm: Found) -> list[Figure]:
    ports = storm["ports"]
    return [
        Figure(f"storm, {ports} ports", storm["ports_per_s"], "/s", 200.0, is_least=True, openstack="3.9 /s"),
        Figure(f"storm, {ports} ports: plugged to ready, p99", storm["p99_ms"], "ms", openstack="25,900 ms"),
        Figure(f"storm, {ports} ports: OVSDB transactions", storm["ovsdb_transactions"], ""),
        Figure(f"storm, {ports} ports: batches of flows", storm["flow_batches"], ""),
    ]


def restart_figures(restart: Found) -> list[Figure]:
    ports, sent = restart["ports"], restart["packets_sent"]
    return [
        Figure(f"agent restart, {ports} ports", restart["seconds"], "s", goal=1.5, openstack="17 s"),
        Figure("agent restart: packets lost", restart["packets_lost"], f"of {sent}", goal=0),
    ]


def missing(names: Sequence[str], why: str) -> list[Figure]:
    """Figures that cannot be taken on this machine."""
    return [Figure(name, None, "", why=why) for name in names]


def figure_json(figure: Figure) -> Mapping[str, Any]:
    return {
        "figure": figure.name,
        "measured": figure.measured,
        "unit": figure.unit,
        "goal": figure.goal,
        "met": figure.is_met,
        "floor": figure.floor,
        "openstack": figure.openstack or None,
        "why": figure.why or None,
    }


def machine() -> Mapping[str, Any]:
    """Its cores and how busy it is: figures from a machine that others use as well are pessimistic."""
    return {"cores": os.cpu_count(), "load": [round(load, 2) for load in os.getloadavg()]}
