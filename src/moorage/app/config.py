"""Typed settings of an all-in-one cloud, each with its meaning: `moorage up --config FILE` reads them, docs/settings.md
shows them."""

import re
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from moorage.domain.errors import Invalid

LONGEST_TIMEOUT = 86_400.0  # seconds, of vif_plugging_timeout


class HostKind(StrEnum):
    SIMULATED = "simulated"
    NETNS = "netns"
    QEMU = "qemu"


class LogFormat(StrEnum):
    PEOPLE = "people"  # one line for a reader
    JSON = "json"  # one object a line, for programs


class BusKind(StrEnum):
    """Buses that need no URL."""

    MEMORY = "memory"
    RABBITMQ = "rabbitmq"


class DatabaseKind(StrEnum):
    """Databases that need no URL."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


MEMORY, RABBITMQ = BusKind.MEMORY.value, BusKind.RABBITMQ.value

_Latency = Annotated[float, Meta(ge=0.0, le=60.0)]
_PostgresUrl = Annotated[str, Meta(pattern="^postgres(ql)?://")]
_Bus = Annotated[str, Meta(pattern="^(memory$|rabbitmq$|amqps?://)")]
_Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class SimulatedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How simulated hosts behave: latencies in seconds, faults as shares of all ports."""

    plug: Annotated[_Latency, Meta(description="Seconds until the switch's database has committed a VIF.")] = 0.0005
    ofport: Annotated[_Latency, Meta(description="Seconds from there until the switch has opened its device.")] = 0.001
    wire: Annotated[_Latency, Meta(description="Seconds for a batch of ports to be wired.")] = 0.0005
    create: Annotated[_Latency, Meta(description="Seconds to make a guest, held.")] = 0.002
    resume: Annotated[_Latency, Meta(description="Seconds to let a guest run.")] = 0.001
    dhcp: Annotated[_Latency, Meta(description="Seconds until the DHCP server has read its reservations.")] = 0.001
    refuse_device: Annotated[
        _Share, Meta(description="Share of the ports whose device the switch cannot open: they get no `ofport`.")
    ] = 0.0
    refuse_flows: Annotated[
        _Share, Meta(description="Share of the ports whose flows the switch refuses: they are never wired.")
    ] = 0.0


class CloudSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One cloud: everything it keeps is below `state_dir`."""

    state_dir: Path
    host_kind: Annotated[HostKind, Meta(description="What guests run on.")] = HostKind.SIMULATED
    hosts: Annotated[int, Meta(ge=1, le=1000, description="How many hosts; they share their networks.")] = 1
    address: Annotated[str, Meta(description="The address on which the APIs listen.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Their port; 0 takes any free one.")] = 8780
    vif_plugging_timeout: Annotated[
        float,
        Meta(
            ge=0.0,
            le=LONGEST_TIMEOUT,
            description="Seconds that a boot waits for its ports, wall-clock, from the first plug; 0: it never waits.",
        ),
    ] = 300.0
    vif_plugging_is_fatal: Annotated[
        bool, Meta(description="Whether a boot fails when its ports are not ready in time; if not, the guest runs.")
    ] = True
    database: Annotated[
        _PostgresUrl | None,
        Meta(
            description="Where its tables are: `postgresql://USER@HOST/NAME`, with libpq's parameters; "
            "by default in SQLite files of its own.",
        ),
    ] = None
    bus: Annotated[
        _Bus,
        Meta(
            description="What services and hosts talk over: `memory`; `rabbitmq`, one of its own, which ends with it; "
            "or `amqp(s)://USER@HOST/VHOST`, a RabbitMQ that is there (docs/bus.md)."
        ),
    ] = MEMORY
    is_durable: Annotated[
        bool,
        Meta(
            description="SQLite files: whether what was committed survives a power cut; if not, it survives a SIGKILL."
        ),
    ] = False
    cache_dir: Path | None = None  # where the guest image is kept between clouds
    log_format: Annotated[LogFormat, Meta(description="How lines look in `moorage.log`.")] = LogFormat.JSON
    simulated: Annotated[SimulatedSettings, Meta(description="")] = SimulatedSettings()


OPTIONS = {
    "host_kind": "--host-kind",
    "hosts": "--hosts",
    "address": "--listen",
    "port": "--listen",
    "database": "--database",
    "bus": "--bus",
    "vif_plugging_timeout": "--vif-plugging-timeout",
    "vif_plugging_is_fatal": "--[no-]vif-plugging-is-fatal",
    "log_format": "--log-format",
}
"""Settings that `moorage up` has an option for, which goes before the file."""
PLACES = frozenset({"state_dir", "cache_dir"})  # the command chooses them: --state-dir, XDG_CACHE_HOME


def read_settings(path: Path) -> dict[str, Any]:
    """What a TOML file says of CloudSettings, by name. Raises Invalid, with the name of what cannot be."""
    try:
        said = tomllib.loads(path.read_text())
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} is not TOML: {error}") from error
    for name in sorted(PLACES & said.keys()):
        raise Invalid(f"{path}: {name} is no setting of a file: use --state-dir, XDG_CACHE_HOME")
    settings = checked({"state_dir": "", **said}, str(path))
    return {name: getattr(settings, name) for name in said}


def checked(values: dict[str, Any], source: str) -> CloudSettings:
    """The settings of these values. Raises Invalid for an unknown name, a wrong type, a value out of its range."""
    try:
        return msgspec.convert(values, CloudSettings, dec_hook=lambda kind, value: kind(value))
    except msgspec.ValidationError as error:
        raise Invalid(f"{source}: {_reworded(str(error))}") from error


def _reworded(error: str) -> str:
    """msgspec's words, with the setting's name first."""
    what, _, where = error.partition(" - at ")
    name = where.strip("`").removeprefix("$").removeprefix(".")
    if unknown := re.search("unknown field `([^`]+)`", what):
        return f"there is no setting {'.'.join(filter(None, [name, unknown[1]]))}: docs/settings.md lists them"
    return f"{name}: {what}"
