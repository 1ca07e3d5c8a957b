"""Whether what settings name is there and can be used: looked at before anything starts, without calling anybody."""

import grp
import os
import pwd
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from moorage.app.config import HostKind
from moorage.app.http_server import server_context
from moorage.app.serving.databases import SQLITE, sqlite_directory
from moorage.app.serving.outside import client_context
from moorage.app.serving.reading import FileSaid, Wrong
from moorage.app.serving.secrets import password_of
from moorage.app.serving.settings import (
    ApiSettings,
    BusSettings,
    ComputeSettings,
    DatabaseSettings,
    HostSettings,
    PasswordSettings,
    ServeSettings,
    Service,
)
from moorage.app.state import parse_listen
from moorage.domain.errors import Invalid

USERS: Mapping[Service, tuple[str, ...]] = {  # whose passwords a process must know
    Service.IDENTITY: ("admin", "nova", "neutron", "glance"),
    Service.IMAGE: ("glance",),
    Service.COMPUTE_API: ("nova",),
    Service.NETWORK: ("neutron",),
    Service.COMPUTE: ("nova",),
    Service.AGENT: (),
    Service.HOLDER: (),
}
SOCKET_PATH = 107  # bytes (unix(7))
ON_BUS = frozenset({Service.COMPUTE_API, Service.NETWORK, Service.COMPUTE, Service.AGENT})


def services_in(said: FileSaid) -> list[Service]:
    """Those that the file has a table for."""
    return [service for service in Service if service.value in said.values]


def wrong_in(said: FileSaid, services: list[Service]) -> list[Wrong]:
    """Everything in a file that keeps these services from starting."""
    if said.settings is None:
        return list(said.wrong)
    found = dict.fromkeys(wrong for service in services for wrong in _wrong_for(service, said.settings))
    return list(found)  # once what several share


def _wrong_for(service: Service, settings: ServeSettings) -> Iterator[Wrong]:
    name = service.value
    api = getattr(settings, service.name.lower())
    if api is None:
        yield Wrong(name, "there is no such table", f"add [{name}], or name another file")
        return
    if service is Service.HOLDER:
        yield from _holder(settings)
        return
    yield from _endpoints(settings)
    yield from _tls(settings)
    for user in USERS[service]:
        yield from _password(f"users.{user}", getattr(settings.users, user), is_needed=True)
    if service in ON_BUS:
        yield from _bus(settings.bus)
    if isinstance(api, ApiSettings):
        yield from _listen(f"{name}.listen", api.listen)
        yield from _database(name, api, settings)
    if settings.identity is not None and service is Service.IDENTITY:
        yield from _key("identity.token_key_file", settings.identity.token_key_file)
    if service in (Service.COMPUTE, Service.AGENT):
        if settings.host is None:
            yield Wrong("host", "there is no such table", "add [host] with a holder")
        yield from _directory(f"{name}.state_dir", api.state_dir)
        if api.admin_listen is not None:
            yield from _listen(f"{name}.admin_listen", api.admin_listen)
    if settings.compute is not None and settings.host is not None and service is Service.COMPUTE:
        yield from _compute(settings.compute, settings.host)
    if settings.image is not None and service is Service.IMAGE:
        yield from _directory("image.directory", settings.image.directory)


def _endpoints(settings: ServeSettings) -> Iterator[Wrong]:
    for table in ("endpoints", "public_endpoints"):
        endpoints = getattr(settings, table)
        for name in endpoints.__struct_fields__ if endpoints is not None else ():
            text = getattr(endpoints, name)
            parts = urlsplit(text)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
                yield Wrong(f"{table}.{name}", f"{text!r} is not where a service is", "write it as http://HOST:PORT")


def _tls(settings: ServeSettings) -> Iterator[Wrong]:
    tls = settings.tls
    if (tls.cert_file is None) is not (tls.key_file is None):
        yield Wrong("tls", "cert_file and key_file go together", "name both, or neither")
    elif tls.cert_file is not None and tls.key_file is not None:
        yield from _refused("tls.cert_file", partial(server_context, tls.cert_file, tls.key_file), "name a pair in PEM")
    yield from _refused("tls.ca_file", partial(client_context, settings), "name certificates in PEM")


def _password(name: str, settings: PasswordSettings | None, *, is_needed: bool) -> Iterator[Wrong]:
    try:
        found = password_of(settings)
    except Invalid as error:
        what, _, cure = error.message.partition(": ")
        yield Wrong(name, what, cure)
        return
    if found is None and is_needed:
        yield Wrong(name, "it has no password", f"add [{name}] with a password_file")


def _bus(settings: BusSettings | None) -> Iterator[Wrong]:
    if settings is None:
        yield Wrong("bus", "there is no such table", "add [bus] with a url")
        return
    yield from _password("bus", settings, is_needed=False)
    if urlsplit(settings.url).scheme not in ("amqp", "amqps") or not urlsplit(settings.url).hostname:
        yield Wrong("bus.url", "it is no bus's", "write it as amqp://USER@HOST/VHOST")


def _database(name: str, api: ApiSettings, settings: ServeSettings) -> Iterator[Wrong]:
    place = f"{name}.database" if api.database is not None else "database"
    database: DatabaseSettings | None = api.database or settings.database
    if database is None:
        yield Wrong(place, "there is no such table", "add [database] with a url")
        return
    yield from _password(place, database, is_needed=False)
    if database.url.startswith(SQLITE):
        yield from _directory(f"{place}.url", sqlite_directory(database.url))
    elif urlsplit(database.url).scheme not in ("postgresql", "postgres"):
        cure = "write it as postgresql://USER@HOST/NAME or sqlite:DIRECTORY"
        yield Wrong(f"{place}.url", "it is no database's", cure)


def _holder(settings: ServeSettings) -> Iterator[Wrong]:
    assert settings.holder is not None
    if settings.host is None:
        yield Wrong("host", "there is no such table", "add [host] with the holder's socket")
    else:
        yield from _directory("host.holder", settings.host.holder.parent)
    for name, kind, known, cure in (
        ("group", settings.holder.group, grp.getgrnam, "groupadd --system"),
        ("guests", settings.holder.guests, pwd.getpwnam, "useradd --system"),
    ):
        try:
            if kind is not None:
                known(kind)
        except KeyError:
            yield Wrong(f"holder.{name}", f"there is no {kind} on this machine", f"{cure} {kind}")


def _compute(compute: ComputeSettings, host: HostSettings) -> Iterator[Wrong]:
    yield from _directory("compute.run_dir", compute.run_dir)
    longest = len(str(compute.run_dir / host.name / "qmp" / f"{'0' * 36}.serial"))
    if longest > SOCKET_PATH:
        what = f"it is too long by {longest - SOCKET_PATH} bytes for sockets in it"
        yield Wrong("compute.run_dir", what, "name a shorter path")
    if compute.kind is HostKind.SIMULATED:
        yield Wrong("compute.kind", "simulated hosts are the all-in-one's", 'write "qemu" or "netns"')


def _listen(name: str, text: str) -> Iterator[Wrong]:
    yield from _refused(name, partial(parse_listen, text), "write it so")


def _key(name: str, path: Path) -> Iterator[Wrong]:
    if path.exists():
        if not os.access(path, os.R_OK):
            yield Wrong(name, f"{path} cannot be read", "let this process's user read it")
    else:
        yield from _directory(name, path.parent)


def _directory(name: str, path: Path) -> Iterator[Wrong]:
    """One that is not there yet is made, where that is possible."""
    if not path.is_absolute():
        yield Wrong(name, f"{path} is no absolute path", "begin it with /")
        return
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    if not there.is_dir():
        yield Wrong(name, f"{there} is no directory", "name another one")
    elif not os.access(there, os.W_OK | os.X_OK):
        yield Wrong(name, f"{there} cannot be written", "give it to this process's user (chown), or name another one")


def _refused(name: str, use: Callable[[], object], cure: str) -> Iterator[Wrong]:
    try:
        use()
    except Invalid as error:
        yield Wrong(name, error.message, cure)
