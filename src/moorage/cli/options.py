"""Options that several commands share."""

import os
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from moorage.app.config import MEMORY, RABBITMQ, BusKind, DatabaseKind, HostKind
from moorage.app.state import parse_listen
from moorage.domain.errors import Invalid

Word = TypeVar("Word", bound=StrEnum)


def one_of(kind: type[Word], text: str) -> Word:
    """The word of `kind` that is meant; told in a sentence when there is none."""
    try:
        return kind(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is none of {', '.join(kind)}") from None


def _kind(text: str) -> HostKind:
    return one_of(HostKind, text)


def _writable(value: str | None) -> str | None:
    if value is None or value == "-":
        return value
    path = Path(value)
    if path.is_dir():
        raise typer.BadParameter(f"'{value}' is a folder: name a file in it")
    if not path.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {path.absolute().parent}")
    if path.exists() and not path.is_file():
        return value  # a pipe, say, which is opened once
    is_new = not path.exists()
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
    except OSError as error:
        raise typer.BadParameter(f"'{value}' cannot be written: {error.strerror}") from error
    if is_new:
        with suppress(OSError):
            path.unlink()
    return value


def listen_address(value: str | None) -> str | None:
    """The text, if it is an address with a port; told in a sentence otherwise."""
    if value is None:
        return None
    try:
        parse_listen(value)
    except Invalid as error:
        raise typer.BadParameter(error.message) from error
    return value


def _database(value: str | None) -> str | None:
    if value is not None and not value.startswith(("postgresql://", "postgres://")):
        raise typer.BadParameter("it is no postgresql://USER@HOST/NAME")  # not shown: it may hold a password
    return value


def _bus(value: str | None) -> str | None:
    if value not in (None, MEMORY, RABBITMQ) and not value.startswith(("amqp://", "amqps://")):
        raise typer.BadParameter(f"it is neither {MEMORY} nor {RABBITMQ} nor amqp://USER@HOST/VHOST")  # may be secret
    return value


Kind = Annotated[
    HostKind | None,
    typer.Option(
        "--host-kind",
        parser=_kind,
        metavar="|".join(HostKind),
        autocompletion=lambda: list(HostKind),
        help="What guests run on. Default: qemu where it can run, else simulated.",
    ),
]
Json = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE|-", callback=_writable, help="Write the result as JSON; - for stdout."),
]
State = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        metavar="DIR",
        envvar="MOORAGE_STATE_DIR",
        show_envvar=False,
        help="Where the cloud keeps its state [MOORAGE_STATE_DIR, else $XDG_STATE_HOME/moorage].",
    ),
]
OsCloud = Annotated[
    str | None,
    typer.Option("--os-cloud", metavar="NAME", help="An entry of clouds.yaml [OS_CLOUD, else the state directory's]."),
]
Listen = Annotated[
    str, typer.Option("--listen", metavar="ADDR:PORT", callback=listen_address, help="Where the APIs listen.")
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings in TOML (docs/settings.md); options go before them."),
]
Database = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="MOORAGE_DATABASE",
        callback=_database,
        help="A PostgreSQL: postgresql://USER@HOST/NAME. Its password is better in ~/.pgpass or PGPASSWORD.",
    ),
]
Bus = Annotated[
    str | None,
    typer.Option(
        metavar=f"{MEMORY}|{RABBITMQ}|URL",
        envvar="MOORAGE_BUS",
        callback=_bus,
        help="What services and hosts talk over: a RabbitMQ of its own, or the one at amqp://USER:PASSWORD@HOST/VHOST "
        "(better in MOORAGE_BUS, if it has a password) [memory].",
    ),
]
OwnDatabase = Annotated[
    DatabaseKind,
    typer.Option(
        "--database",
        help="Where tables are: sqlite, or a PostgreSQL that ends with the cloud. With --bus rabbitmq every service is "
        "a process of its own, two of each API.",
    ),
]
OwnBus = Annotated[
    BusKind,
    typer.Option("--bus", help="What services and hosts talk over: memory, or a RabbitMQ that ends with the cloud."),
]
