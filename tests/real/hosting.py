"""A whole cloud spread over processes, for tests: PostgreSQL and RabbitMQ of its own, the APIs, and a host on a machine
whose compute and agent are unprivileged users."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from tests.machine import AGENT, COMPUTE, GROUP, GUESTS, Machine, a_machine
from tests.postgresql import Server, postgresql
from tests.rabbitmq import a_broker
from tests.real.ordinary_user import way_down
from tests.real.serving import APIS, Served, Spread, spread

from moorage.app.upgrading import upgraded

HOST = "host-1"
FIRST_PORT = "10.0.0.0/24"


@dataclass
class Cloud:
    """`spread` are its processes; `machine` is where its host is."""

    spread: Spread
    machine: Machine
    database: Server

    async def start(self, what: str) -> Served:
        users = {"compute": (COMPUTE, GUESTS), "agent": (AGENT, AGENT)}
        if what not in users:
            return await self.spread.start(what)
        uid, gid = users[what]
        stage = self.machine.place / f"stage-{what}"
        stage.mkdir(exist_ok=True)
        who = ("--reuid", str(uid), "--regid", str(gid), "--groups", f"{gid},{GROUP}", "--bounding-set=-all")
        return await self.spread.start(what, way=way_down(stage, who, also=["umask 007"]))

    async def started(self) -> dict[str, Served]:
        """All of it, ready."""
        await self.machine.start_switch()
        await self.machine.start_holder()
        found = {what: await self.start(what) for what in (*APIS, "compute", "agent")}
        await self.spread.ready(*APIS, "compute", "agent")
        return found


@asynccontextmanager
async def a_cloud(*tables: str) -> AsyncIterator[Cloud]:
    """Its tables are made; nothing of it runs yet."""
    async with AsyncExitStack() as stack:
        machine = await stack.enter_async_context(a_machine())
        database = stack.enter_context(postgresql())
        broker = stack.enter_context(a_broker())
        url = database.make_database("moorage")
        async for _ in upgraded(url):
            pass
        place = machine.place / "cloud"
        place.mkdir()
        for folder, uid, gid in (("compute", COMPUTE, GUESTS), ("c", COMPUTE, GUESTS), ("agent", AGENT, AGENT)):
            (machine.place / folder).mkdir()
            os.chown(machine.place / folder, uid, gid)
            (machine.place / folder).chmod(0o2770)
        cloud = await stack.enter_async_context(spread(place, _tables(machine, url, broker.url), *tables))
        (place / "nova.password").chmod(0o640)
        os.chown(place / "nova.password", 0, GROUP)
        yield Cloud(cloud, machine, database)


def _tables(machine: Machine, database: str, bus: str) -> str:
    return f"""
[database]
url = "{database}"
[bus]
url = "{bus}"
[host]
name = "{HOST}"
holder = "{machine.socket}"
[host.switch]
database = "unix:{machine.rundir}/db.sock"
directory = "{machine.rundir}"
datapath = "netdev"
[compute]
state_dir = "{machine.place}/compute"
run_dir = "{machine.place}/c"
kind = "netns"
admin_listen = "127.0.0.1:@compute@"
[agent]
state_dir = "{machine.place}/agent"
admin_listen = "127.0.0.1:@agent@"
"""
