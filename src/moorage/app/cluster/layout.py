"""Where everything of a cluster is: its folders, ports, passwords, and the settings of its processes."""

import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from moorage.adapters.qemu.command_line import Accelerator
from moorage.app.cloud import Credentials
from moorage.app.clouds_yaml import ADMIN, MEMBER
from moorage.app.config import CloudSettings, HostKind
from moorage.app.private import let_pass
from moorage.app.state import write_private
from moorage.domain.ids import HostName

HOST = HostName("host-1")
APIS = ("identity", "image", "compute-api", "network")
ON_HOST = ("compute", "agent")
USERS = ("admin", "demo", "nova", "neutron", "glance")
DATABASE = "moorage"
NOTE = "cluster.json"


@dataclass(frozen=True)
class Layout:
    """`place` is a folder that is the cluster's alone. Two processes of an API share its port."""

    place: Path
    cache: Path  # the guest image is there, and whether KVM works
    kind: HostKind
    vif_plugging_timeout: float
    vif_plugging_is_fatal: bool
    ports: Mapping[str, int]
    passwords: Mapping[str, str]  # of OpenStack's users, and `bus` of the host's user on the broker

    def folder(self, name: str) -> Path:
        """`postgresql`, `rabbitmq`, `switch`, `holder`, and what processes keep."""
        return self.place / name

    def url(self, api: str) -> str:
        return f"http://127.0.0.1:{self.ports[api]}"

    def log(self, part: str) -> Path:
        return self.place / "log" / f"{part}.log"

    @property
    def holder(self) -> Path:
        return self.folder("holder") / "holder.sock"

    @property
    def credentials(self) -> dict[str, Credentials]:
        return {
            MEMBER: Credentials("demo", self.passwords["demo"], "demo"),
            ADMIN: Credentials("admin", self.passwords["admin"], "admin"),
        }

    @property
    def apis_file(self) -> Path:
        return self.place / "control-plane.toml"

    @property
    def host_file(self) -> Path:
        return self.place / "host.toml"

    def file_of(self, service: str) -> Path:
        return self.host_file if service in ON_HOST or service == "holder" else self.apis_file


def laid_out(settings: CloudSettings) -> Layout:
    """A new cluster, in the folder `state_dir`."""
    listeners = {what: socket.create_server(("127.0.0.1", 0)) for what in (*APIS, *ON_HOST)}
    ports = {what: listener.getsockname()[1] for what, listener in listeners.items()}
    for listener in listeners.values():
        listener.close()
    passwords = {name: secrets.token_urlsafe(18) for name in (*USERS, "bus")}
    layout = Layout(
        settings.state_dir,
        settings.cache_dir or settings.state_dir / "cache",
        settings.host_kind,
        settings.vif_plugging_timeout,
        settings.vif_plugging_is_fatal,
        ports,
        passwords,
    )
    layout.place.mkdir(mode=0o700, parents=True, exist_ok=True)
    let_pass(layout.place)
    for folder in ("log", "postgresql", "rabbitmq", "switch", "holder", "keys", "images", "c", "r", "a", "ready"):
        layout.folder(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(layout.place / NOTE, msgspec.json.encode(layout, enc_hook=str).decode())
    return layout


def found_layout(place: Path) -> Layout:
    """The one that was laid out in this folder."""
    return msgspec.json.decode((place / NOTE).read_bytes(), type=Layout, dec_hook=lambda kind, value: kind(value))


def write_settings(
    layout: Layout, *, database: str, bus: str, bus_password: str, host_user: str, accelerator: Accelerator
) -> None:
    """Both files, as docs/from-one-to-many.md has them; `bus` is HOST:PORT/VHOST."""
    place = layout.place
    for name, password in {**layout.passwords, "services": bus_password}.items():
        write_private(place / f"{name}.password", password + "\n")
    write_private(layout.apis_file, _apis(layout, database, bus))
    write_private(layout.host_file, _host(layout, bus, host_user, accelerator))


def _apis(layout: Layout, database: str, bus: str) -> str:
    place = layout.place
    more = {"identity": f'token_key_file = "{place}/keys/token.key"\n', "image": f'directory = "{place}/images"\n'}
    tables = [
        f'[{api}]\nlisten = "127.0.0.1:{layout.ports[api]}"\nreuse_port = true\n{more.get(api, "")}' for api in APIS
    ]
    users = "".join(f'{user} = {{ password_file = "{place}/{user}.password" }}\n' for user in USERS)
    return "\n".join(
        [
            _endpoints(layout),
            f'[database]\nurl = "{database}"\n',
            f'[bus]\nurl = "amqp://moorage@{bus}"\npassword_file = "{place}/services.password"\n',
            f"[users]\n{users}",
            *tables,
        ]
    )


def _host(layout: Layout, bus: str, host_user: str, accelerator: Accelerator) -> str:
    place, ports = layout.place, layout.ports
    switch = layout.folder("switch")
    return f"""{_endpoints(layout)}
[bus]
url = "amqp://{host_user}@{bus}"
password_file = "{place}/bus.password"

[users]
nova = {{ password_file = "{place}/nova.password" }}

[host]
name = "{HOST}"
holder = "{layout.holder}"

[host.switch]
datapath = "netdev"
database = "unix:{switch}/db.sock"
directory = "{switch}"

[compute]
kind = "{layout.kind}"
acceleration = "{accelerator}"
state_dir = "{place}/c"
run_dir = "{place}/r"
admin_listen = "127.0.0.1:{ports["compute"]}"
vif_plugging_timeout = {layout.vif_plugging_timeout}
vif_plugging_is_fatal = {"true" if layout.vif_plugging_is_fatal else "false"}

[agent]
state_dir = "{place}/a"
admin_listen = "127.0.0.1:{ports["agent"]}"
"""


def _endpoints(layout: Layout) -> str:
    names = {"identity": "identity", "image": "image", "compute": "compute-api", "network": "network"}
    lines = "".join(f'{name} = "{layout.url(api)}"\n' for name, api in names.items())
    return f"[endpoints]\n{lines}"
