"""A whole cloud spread over processes, by the files of deploy/: PostgreSQL and RabbitMQ of its own, the APIs, a host.

The host is on a machine of its own, and its compute and agent are unprivileged users.
"""

import json
import os
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.machine import AGENT, COMPUTE, GROUP, GUESTS, Machine, a_machine
from tests.postgresql import Server, postgresql
from tests.rabbitmq import a_broker, erlang, typed
from tests.real.ordinary_user import way_down
from tests.real.serving import APIS, ON_HOSTS, Served, Spread, spread
from tests.shell import MOORAGE

from moorage.adapters.rabbitmq.broker import USER, PrivateBroker

HOST = "host-1"
PAGE = Path(__file__).parents[2] / "docs" / "from-one-to-many.md"


def command(*words: str) -> str:
    """What `moorage` says; it must be fine."""
    ran = subprocess.run([*MOORAGE, *words], capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@dataclass
class Cloud:
    """`spread` are its processes; `machine` is where its host is."""

    spread: Spread
    machine: Machine
    database: Server
    broker: PrivateBroker
    bus: str
    apis_file: Path
    host_file: Path

    async def start(self, what: str) -> Served:
        users = {"compute": (COMPUTE, GUESTS), "agent": (AGENT, AGENT)}
        if what not in users:
            return await self.spread.start(what, self.apis_file)
        uid, gid = users[what]
        stage = self.machine.place / f"stage-{what}"
        stage.mkdir(exist_ok=True)
        who = ("--reuid", str(uid), "--regid", str(gid), "--groups", f"{gid},{GROUP}", "--bounding-set=-all")
        return await self.spread.start(what, self.host_file, way=way_down(stage, who, also=["umask 007"]))

    def also_at(self, places: Mapping[str, str], *, public: str) -> Path:
        """A file of the APIs for more of them, that listen at `places`; clients reach all at `public`."""
        text = self.apis_file.read_text()
        for what, place in places.items():
            here = f'listen = "{self.spread.url(what).removeprefix("http://")}"'
            assert here in text
            text = text.replace(here, f'listen = "{place.removeprefix("http://")}"')
        lines = [f'{service} = "{public}"' for service in ("identity", "image", "compute", "network")]
        file = self.spread.place / "proxied.toml"
        file.write_text("\n".join([text, "[public_endpoints]", *lines, ""]))
        return file

    async def become_production(self) -> None:
        """A host as deploy/host.toml has it, once compute and agent have ended: QEMU, guests as `moorage-guest`."""
        changes = _of_the_machine(self.machine, self.bus) | {"[compute]\n": '[compute]\nacceleration = "tcg"\n'}
        self.host_file = self.spread.write("host.toml", changes)
        await self.machine.end_holder()
        await self.machine.start_holder(file=self.host_file)

    async def started(self) -> dict[str, Served]:
        """All of it, ready. Nobody is waited for by us: they wait for one another."""
        found = {what: await self.start(what) for what in (*ON_HOSTS, *APIS[::-1])}
        await self.machine.start_switch()
        await self.machine.start_holder()
        await self.spread.ready(*APIS, *ON_HOSTS)
        return found


@asynccontextmanager
async def a_cloud() -> AsyncIterator[Cloud]:
    """As docs/from-one-to-many.md prepares one. Nothing of it runs yet."""
    async with AsyncExitStack() as stack:
        machine = await stack.enter_async_context(a_machine())
        database = stack.enter_context(postgresql())
        broker = stack.enter_context(a_broker())
        place = machine.place / "etc"
        place.mkdir()
        cloud = await stack.enter_async_context(spread(place))
        url = database.make_database("moorage")
        command("db", "upgrade", "--database", url)
        bus = f"127.0.0.1:{broker.port}/moorage"
        apis = cloud.write(
            "control-plane.toml",
            {
                "postgresql://moorage@127.0.0.1/moorage": url.replace(":not-asked-for", ""),
                "amqp://moorage@127.0.0.1/moorage": f"amqp://moorage@{bus}",
                f"{place}/bus.password": f"{place}/services.password",
                "/var/lib/moorage": f"{machine.place}/lib",
            },
        )
        cloud.write_password("database", "not-asked-for")
        cloud.write_password("services", "services-secret")
        quick = {
            "[compute]\n": '[compute]\nkind = "netns"\n',
            '\n[holder]\ngroup = "moorage-host"\nguests = "moorage-guest"\n': "",  # nobody has them yet
        }
        host = cloud.write("host.toml", _of_the_machine(machine, bus) | quick)
        cloud.write_password("bus", _prepared(broker, place), group=GROUP)
        cloud.write_password("nova", "nova-secret", group=GROUP)
        for folder, uid, gid in (("lib", 0, 0), ("c", COMPUTE, GUESTS), ("r", COMPUTE, GUESTS), ("a", AGENT, AGENT)):
            (machine.place / folder).mkdir()
            os.chown(machine.place / folder, uid, gid)
            (machine.place / folder).chmod(0o2770)
        yield Cloud(cloud, machine, database, broker, bus, apis, host)


def _of_the_machine(machine: Machine, bus: str) -> dict[str, str]:
    return {
        "amqp://host.host-1@127.0.0.1/moorage": f"amqp://host.host-1@{bus}",
        "/run/moorage/holder.sock": str(machine.socket),
        "/var/lib/moorage-compute": f"{machine.place}/c",
        "/run/moorage-compute": f"{machine.place}/r",
        "/var/lib/moorage-agent": f"{machine.place}/a",
        'datapath = "system"': f'datapath = "netdev"\ndatabase = "unix:{machine.rundir}/db.sock"\n'
        f'directory = "{machine.rundir}"',
    }


def _prepared(broker: PrivateBroker, place: Path) -> str:
    """The page's lines for the broker's machine have been typed; the password that a host's user has by them."""
    erlang(broker, f'rabbit_auth_backend_internal:delete_user(<<"{USER}">>, <<"test">>)')  # as a new one has none of us
    command("bus", "permissions", HOST, "--vhost", "moorage", "--json", str(place / f"{HOST}.json"))
    for line in typed_lines("rabbitmqctl"):
        typed(broker, line, place, password="services-secret")
    definitions = json.loads((place / f"{HOST}.json").read_text())
    return str(definitions["users"][0]["password"])


def typed_lines(program: str) -> Sequence[str]:
    """What docs/from-one-to-many.md has root type that begins with this."""
    found = [line[2:] for line in PAGE.read_text().splitlines() if line.startswith(f"# {program} ")]
    assert found, f"the page has no {program}"
    return found
