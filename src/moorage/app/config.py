"""Typed settings of an all-in-one cloud."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

LONGEST_TIMEOUT = 86_400.0  # seconds, of vif_plugging_timeout


class HostKind(StrEnum):
    SIMULATED = "simulated"
    NETNS = "netns"
    QEMU = "qemu"


class LogFormat(StrEnum):
    PEOPLE = "people"  # one line for a reader
    JSON = "json"  # one object a line, for programs


@dataclass(frozen=True)
class SimulatedSettings:
    """Latencies (seconds) of simulated hosts."""

    plug: float = 0.0005
    ofport: float = 0.001
    wire: float = 0.0005
    create: float = 0.002
    resume: float = 0.001
    dhcp: float = 0.001


@dataclass(frozen=True)
class CloudSettings:
    """One cloud: everything it keeps is below `state_dir`."""

    state_dir: Path
    host_kind: HostKind = HostKind.SIMULATED
    hosts: int = 1
    address: str = "127.0.0.1"
    port: int = 8780  # 0: any free one
    vif_plugging_timeout: float = 300.0  # seconds; 0: never wait
    vif_plugging_is_fatal: bool = True
    is_durable: bool = False  # synchronous=FULL: survives a power cut; else NORMAL: survives SIGKILL
    cache_dir: Path | None = None  # where the guest image is kept between clouds
    log_format: LogFormat = LogFormat.JSON
    simulated: SimulatedSettings = SimulatedSettings()
