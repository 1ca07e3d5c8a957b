"""Servers find a host whatever fails: no host, a host that gives up, a host that dies, a crash of compute API."""

import asyncio
from dataclasses import replace

from tests.unit.compute_rig import NETWORK, PORT, Cloud, a_port, cloud

from moorage.domain.action import InstanceAction
from moorage.domain.attempt import HOST_PATIENCE
from moorage.domain.ids import ServerId
from moorage.domain.port import MADE_KEY
from moorage.domain.scheduling import DEAD_AFTER
from moorage.domain.server import Life, PowerState, TaskState, VmState
from moorage.seams.server_store import Quota
from moorage.wire.messages import (
    Done,
    JobDone,
    JobFailed,
    Leave,
    LeaveWanted,
    Record,
    RecordWanted,
    Unfinished,
    UnfinishedWanted,
)

NEW = (VmState.BUILDING, TaskState.SCHEDULING, PowerState.NOSTATE)
SILENT = "Failed to allocate the network(s): port p only got as far as 'plugged' within 300 s"


async def actions(compute: Cloud, server: str) -> list[InstanceAction]:
    return list(await compute.service.store.actions(ServerId(server)))


async def test_a_server_that_no_host_takes_says_so() -> None:
    async with cloud("h1") as compute:
        flavor = {"name": "huge", "ram": 10**6, "vcpus": 1, "disk": 0, "id": "huge"}
        await compute.call("POST", "/v2.1/flavors", {"flavor": flavor}, token="admin")
        view = await compute.until(await compute.boot(flavorRef="huge"), "ERROR")
        assert view["fault"]["code"] == 500
        assert view["fault"]["message"].startswith("No valid host was found.")
        assert view["OS-EXT-SRV-ATTR:host"] is None
        path = f"/v2.1/servers/{view['id']}/action"
        console = await compute.call("POST", path, {"os-getConsoleOutput": {}})
        assert console.status_code == 409
        assert "it is on no host, and has no console" in console.json["conflictingRequest"]["message"]
        [action] = await actions(compute, view["id"])
        assert action.message == "Error"


async def test_a_network_that_stays_silent_is_not_tried_elsewhere() -> None:
    async with cloud("h2") as compute:
        host = await compute.start_host("h1", fails=SILENT, memory_mib=8192)
        view = await compute.until(await compute.boot(), "ERROR")
        assert view["fault"]["message"] == SILENT
        assert view["fault"]["details"] == "on h1"
        assert len(host.jobs) == 1
        [action] = await actions(compute, view["id"])
        assert [(event.host, event.result) for event in action.events] == [("h1", "Error")]


async def test_a_boot_that_may_do_better_elsewhere_goes_there() -> None:
    async with cloud("h2") as compute:
        await compute.start_host("h1", fails="binding failed", is_elsewhere_possible=True, memory_mib=8192)
        server = await compute.boot()
        view = await compute.until(server, "ACTIVE")
        assert view["OS-EXT-SRV-ATTR:host"] == "h2"
        record = await compute.record(server)
        assert (record.attempt, record.tried) == (2, ("h1", "h2"))
        [action] = await actions(compute, server)
        assert [event.host for event in action.events] == ["h1", "h2"]
        assert [fact.host for fact in compute.told.facts if fact.what == "placed"] == ["h1", "h2"]


async def test_three_hosts_are_tried_and_no_more() -> None:
    async with cloud() as compute:
        hosts = [
            await compute.start_host(name, fails="binding failed", is_elsewhere_possible=True)
            for name in ("h1", "h2", "h3", "h4")
        ]
        view = await compute.until(await compute.boot(), "ERROR")
        assert view["fault"]["message"] == "binding failed"
        assert [len(host.jobs) for host in hosts] == [1, 1, 1, 0]


async def test_a_boot_moves_off_a_dead_host_and_the_old_host_is_refused() -> None:
    async with cloud() as compute:
        first = await compute.start_host("h1", is_idle=True, memory_mib=8192)
        await asyncio.sleep(11)
        server = await compute.boot()
        await asyncio.sleep(0.1)
        old = await compute.record(server)
        assert old.host == "h1"
        await compute.start_host("h2")
        first.die()
        died_at = asyncio.get_running_loop().time()
        view = await compute.until(server, "ACTIVE")
        assert view["OS-EXT-SRV-ATTR:host"] == "h2"
        assert asyncio.get_running_loop().time() - died_at < DEAD_AFTER.total_seconds() + 3
        assert (await compute.record(server)).generation != old.generation
        call = compute.bus.call
        for stale in (
            LeaveWanted(server=server, host="h1", attempt=1),
            JobDone(server=server, host="h1", attempt=1, event="booted"),
            JobFailed(server=server, host="h1", attempt=1, message="x"),
            JobFailed(server=server, host="h1", attempt=1, message="x", is_elsewhere_possible=True),
        ):
            assert await call("compute-api", stale) in (Leave(granted=False), Done(granted=False))
        assert await call("compute-api", RecordWanted(server=server, host="h1")) == Record(server=None)
        assert (await compute.show(server))["status"] == "ACTIVE"


async def test_a_guest_that_may_run_on_a_dead_host_is_not_started_twice() -> None:
    async with cloud() as compute:
        host = await compute.start_host("h1", is_idle=True, memory_mib=8192)
        server = await compute.boot()
        await asyncio.sleep(0.1)
        leave = await compute.bus.call("compute-api", LeaveWanted(server=server, host="h1", attempt=1))
        assert leave == Leave(granted=True)
        await compute.start_host("h2")
        host.die()
        await asyncio.sleep(60)
        assert (await compute.record(server)).host == "h1"


async def test_a_server_waits_for_the_first_host_after_a_start() -> None:
    async with cloud() as compute:
        server = await compute.boot()
        await asyncio.sleep(3)
        assert (await compute.show(server))["status"] == "BUILD"
        await compute.start_host("h1")
        await compute.until(server, "ACTIVE")


async def test_a_server_waits_for_a_host_that_is_silent_for_a_moment_and_not_for_one_that_is_dead() -> None:
    async with cloud() as compute:
        host = await compute.start_host("h1")
        await asyncio.sleep(15)  # long enough to know who is there
        host.die()
        await asyncio.sleep(DEAD_AFTER.total_seconds() + 3)
        server = await compute.boot()
        await asyncio.sleep(HOST_PATIENCE.total_seconds() - DEAD_AFTER.total_seconds() - 10)
        assert (await compute.show(server))["status"] == "BUILD"
        host = await compute.start_host("h1")
        await compute.until(server, "ACTIVE")
        host.die()
        await asyncio.sleep(DEAD_AFTER.total_seconds() + 3)
        began = asyncio.get_running_loop().time()
        refused = await compute.until(await compute.boot(), "ERROR")
        assert refused["fault"]["message"].startswith("No valid host was found.")
        assert asyncio.get_running_loop().time() - began < HOST_PATIENCE.total_seconds() + 3


async def test_what_a_crash_has_left_without_a_host_is_placed() -> None:
    async with cloud("h1") as compute:
        server = await compute.boot()
        await compute.until(server, "ACTIVE")
        row = await compute.record(server)
        left = replace(row, id=ServerId("left"), life=Life(*NEW), host=None, attempt=0, tried=(), generation=None)
        await compute.service.store.add([left], [], Quota())
        await compute.until("left", "ACTIVE")


async def test_a_server_deleted_before_it_has_a_host_is_gone_at_once() -> None:
    async with cloud() as compute:
        server = await compute.boot()
        assert (await compute.call("DELETE", f"/v2.1/servers/{server}")).status_code == 204
        assert (await compute.call("GET", f"/v2.1/servers/{server}")).status_code == 404
        host = await compute.start_host("h1")
        await asyncio.sleep(10)
        assert host.jobs == []
        delete, create = await actions(compute, server)
        assert (delete.action, create.message) == ("delete", "Error")


async def test_a_server_in_error_takes_its_ports_with_it() -> None:
    async with cloud() as compute:
        await compute.start_host("h1", fails=SILENT)
        server = await compute.boot(networks=[{"uuid": NETWORK}])
        await compute.until(server, "ERROR")
        made = replace(a_port(device=server), profile={MADE_KEY: True})
        compute.network.known_ports[PORT] = made
        assert (await compute.call("DELETE", f"/v2.1/servers/{server}")).status_code == 204
        await compute.until_gone(server)
        assert compute.network.deleted == [PORT]


async def test_a_delete_does_not_wait_for_a_dead_host() -> None:
    async with cloud() as compute:
        host = await compute.start_host("h1")
        compute.network.known_ports[PORT] = a_port()
        server = await compute.boot(networks=[{"port": PORT}])
        await compute.until(server, "ACTIVE")
        compute.network.known_ports[PORT] = a_port(device=server)
        host.die()
        await asyncio.sleep(1)
        for _ in range(2):
            assert (await compute.call("DELETE", f"/v2.1/servers/{server}")).status_code == 204
        await compute.until_gone(server)
        assert (compute.network.deleted, compute.network.unbound) == ([], [PORT])
        left = await compute.bus.call("compute-api", UnfinishedWanted(host="h1"))
        assert left == Unfinished(unfinished=(), present=())


async def test_a_host_learns_what_it_has_to_do() -> None:
    async with cloud() as compute:
        await compute.start_host("h1", is_idle=True)
        server = await compute.boot()
        await asyncio.sleep(0.1)
        answer = await compute.bus.call("compute-api", UnfinishedWanted(host="h1"))
        assert answer == Unfinished(unfinished=(server,), present=(server,))
        record = await compute.bus.call("compute-api", RecordWanted(server=server, host="h1"))
        assert record == Record(server=await compute.record(server))


async def test_a_guest_that_ends_by_itself_is_stopped() -> None:
    async with cloud("h1") as compute:
        server = await compute.boot()
        await compute.until(server, "ACTIVE")
        ended = JobDone(server=server, host="h1", attempt=1, event="guest ended")
        assert await compute.bus.call("compute-api", ended) == Done()
        assert (await compute.show(server))["status"] == "SHUTOFF"
        assert await compute.bus.call("compute-api", ended) == Done(granted=False)


async def test_a_hundred_boots_at_once_end_active_and_leave_nothing_behind() -> None:
    async with cloud("h1", "h2", "h3", "h4") as compute:
        servers = await asyncio.gather(*[compute.boot(f"vm{number}") for number in range(100)])
        for server in servers:
            await compute.until(server, "ACTIVE")
        assert asyncio.get_running_loop().time() < 1
        hosts = [(await compute.record(server)).host for server in servers]
        assert {hosts.count(host) for host in set(hosts)} == {25}
