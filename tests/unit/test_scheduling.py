"""Which host takes a server, and whose word about it counts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from moorage.domain.attempt import (
    HOST_PATIENCE,
    MOST_TRIES,
    brought_up,
    done,
    elsewhere,
    first_placed,
    given_up,
    plugging,
    released,
    waits_for_host,
    with_nics,
)
from moorage.domain.errors import Conflict, Exhausted, Stale
from moorage.domain.ids import FlavorId, Generation, HostName, ImageId, ProjectId, ServerId, UserId
from moorage.domain.scheduling import DEAD_AFTER, HostState, choose
from moorage.domain.server import (
    Fault,
    Flavor,
    Life,
    PowerState,
    Server,
    ServerEvent,
    TaskState,
    VmState,
    moved,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=5)
TINY = Flavor(FlavorId("1"), "tiny", vcpus=1, ram=128, disk=1)
SERVER = Server(
    id=ServerId("s1"),
    project=ProjectId("p"),
    user=UserId("u"),
    name="vm",
    created=NOW,
    updated=NOW,
    flavor=TINY,
    image=ImageId("i"),
    nics_wanted=(),
)
GENERATIONS = [Generation(str(number) * 32) for number in range(5)]


def host(name: str, **more: object) -> HostState:
    state = HostState(HostName(name), heard_at=NOW, vcpus=1, memory_mib=1024, disk_gib=10)
    return replace(state, **more)  # type: ignore[arg-type]  # any field, by name


def placed_on(name: str) -> Server:
    return first_placed(SERVER, [host(name)], GENERATIONS[1], NOW)


def test_the_host_with_most_free_memory_is_chosen_and_ties_go_by_name() -> None:
    assert choose([host("b"), host("a"), host("c", used_memory_mib=1)], TINY, NOW) == "a"
    assert choose([host("a", used_memory_mib=512), host("z")], TINY, NOW) == "z"


@pytest.mark.parametrize(
    "unfit",
    [
        host("a", is_enabled=False),
        host("a", heard_at=NOW - DEAD_AFTER - timedelta(seconds=1)),
        host("a", used_memory_mib=1000),
        host("a", used_disk_gib=10),
        host("a", used_vcpus=16),
    ],
)
def test_a_host_that_cannot_take_it_is_not_chosen(unfit: HostState) -> None:
    with pytest.raises(Exhausted, match="No valid host was found"):
        choose([unfit], TINY, NOW)


def test_a_placed_server_has_a_host_a_generation_and_its_first_attempt() -> None:
    server = placed_on("a")
    assert (server.host, server.attempt, server.generation, server.tried) == ("a", 1, GENERATIONS[1], ("a",))
    assert first_placed(server, [host("b")], GENERATIONS[2], NOW) is server


def test_a_server_that_is_deleted_before_it_is_placed_is_left_alone() -> None:
    deleting = moved(SERVER, ServerEvent.DELETE, NOW)
    assert first_placed(deleting, [host("a")], GENERATIONS[1], NOW) is deleting


def test_a_new_attempt_goes_to_a_host_that_has_not_tried() -> None:
    hosts = [host("a"), host("b"), host("c"), host("d")]
    server = placed_on("a")
    for number in range(2, MOST_TRIES + 1):
        server = elsewhere(server, hosts, GENERATIONS[number], NOW)
        assert server.attempt == number
    assert server.tried == ("a", "b", "c")
    with pytest.raises(Exhausted, match="maximum number of retries"):
        elsewhere(server, hosts, GENERATIONS[4], NOW)
    with pytest.raises(Exhausted):
        elsewhere(placed_on("a"), [host("a")], GENERATIONS[4], NOW)


def test_a_host_that_an_admin_has_named_is_taken_or_none() -> None:
    server = replace(SERVER, extra={"wanted_host": "b"})
    hosts = [host("a"), host("b", used_memory_mib=512)]
    assert first_placed(server, hosts, GENERATIONS[1], NOW).host == "b"
    with pytest.raises(Exhausted, match="There is no host b"):
        first_placed(server, [host("a")], GENERATIONS[1], NOW)


def test_a_new_server_waits_for_a_host_that_would_take_it_and_went_silent_lately() -> None:
    silent = host("a", heard_at=NOW - DEAD_AFTER - timedelta(seconds=1))
    assert waits_for_host(SERVER, [silent], NOW)
    assert waits_for_host(replace(SERVER, created=NOW - 2 * HOST_PATIENCE), [silent], NOW)
    assert not waits_for_host(SERVER, [silent], NOW + HOST_PATIENCE)
    assert not waits_for_host(SERVER, [replace(silent, used_memory_mib=1000)], NOW)
    assert not waits_for_host(SERVER, [], NOW)


def test_the_first_deadline_of_an_attempt_stays() -> None:
    first = plugging(placed_on("a"), "a", 1, LATER, NOW)
    again = plugging(first, "a", 1, LATER + timedelta(seconds=300), LATER)
    assert first.plug_deadline == again.plug_deadline == LATER
    assert again.life.task is TaskState.NETWORKING
    assert elsewhere(again, [host("b")], GENERATIONS[2], NOW).plug_deadline is None


@pytest.mark.parametrize(("name", "attempt"), [("b", 1), ("a", 0), ("a", 2)])
def test_a_word_of_another_host_or_attempt_is_stale(name: str, attempt: int) -> None:
    server = placed_on("a")
    with pytest.raises(Stale):
        plugging(server, name, attempt, LATER, NOW)
    with pytest.raises(Stale):
        with_nics(server, name, attempt, (), NOW)
    with pytest.raises(Stale):
        released(server, name, attempt)
    with pytest.raises(Stale):
        done(server, name, attempt, ServerEvent.BOOTED, NOW)
    with pytest.raises(Stale):
        given_up(server, name, attempt, Fault(500, "x", NOW), NOW)


def test_a_server_that_is_being_deleted_is_not_given_leave() -> None:
    server = placed_on("a")
    assert released(server, "a", 1).is_released
    with pytest.raises(Conflict):
        released(moved(server, ServerEvent.DELETE, NOW), "a", 1)
    with pytest.raises(Conflict):
        done(moved(server, ServerEvent.DELETE, NOW), "a", 1, ServerEvent.BOOTED, NOW)


def test_a_boot_that_ends_well_is_told_once_or_twice() -> None:
    server = done(placed_on("a"), "a", 1, ServerEvent.BOOTED, LATER)
    assert (server.life, server.launched_at) == (Life(VmState.ACTIVE, None, PowerState.RUNNING), LATER)
    again = done(server, "a", 1, ServerEvent.BOOTED, LATER + timedelta(seconds=1))
    assert (again.life, again.launched_at) == (server.life, LATER)


def test_a_failed_boot_loses_its_host_and_a_failed_start_keeps_it() -> None:
    fault = Fault(500, "Failed to allocate the network(s)", NOW)
    failed = given_up(placed_on("a"), "a", 1, fault, LATER)
    assert (failed.host, failed.life.vm, failed.fault) == (None, VmState.ERROR, fault)
    stopped = replace(placed_on("a"), life=Life(VmState.STOPPED, None, PowerState.SHUTDOWN))
    starting = brought_up(stopped, ServerEvent.START, GENERATIONS[2], NOW)
    assert (starting.attempt, starting.generation) == (2, GENERATIONS[2])
    failed = given_up(starting, "a", 2, fault, LATER)
    assert (failed.host, failed.life.vm) == ("a", VmState.ERROR)
    assert brought_up(failed, ServerEvent.REBOOT_HARD, GENERATIONS[3], LATER).life.task is TaskState.REBOOTING_HARD
