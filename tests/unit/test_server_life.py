"""The life cycle of a server: the table, and what follows from it for every state."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.errors import Conflict
from moorage.domain.ids import ServerId
from moorage.domain.server import (
    NEXT,
    Job,
    Life,
    PowerState,
    ServerEvent,
    TaskState,
    VmState,
    after,
    job_of,
    status,
)

SERVER = ServerId("s1")
NEW = Life(VmState.BUILDING, TaskState.SCHEDULING, PowerState.NOSTATE)
ACTS = (
    ServerEvent.STOP,
    ServerEvent.START,
    ServerEvent.REBOOT_SOFT,
    ServerEvent.REBOOT_HARD,
    ServerEvent.PAUSE,
    ServerEvent.UNPAUSE,
    ServerEvent.SUSPEND,
    ServerEvent.RESUME,
    ServerEvent.REBUILD,
    ServerEvent.DELETE,
)
HOSTS_WORDS = tuple(event for event in ServerEvent if event not in ACTS)
DONE = {  # the job under way -> how its host may say that it has ended
    Job.BOOT: {ServerEvent.BOOTED, ServerEvent.FAILED},
    Job.STOP: {ServerEvent.STOPPED, ServerEvent.FAILED},
    Job.START: {ServerEvent.BOOTED, ServerEvent.FAILED},
    Job.REBOOT: {ServerEvent.BOOTED, ServerEvent.REBOOTED, ServerEvent.FAILED},
    Job.PAUSE: {ServerEvent.PAUSED, ServerEvent.FAILED},
    Job.UNPAUSE: {ServerEvent.UNPAUSED, ServerEvent.FAILED},
    Job.SUSPEND: {ServerEvent.SUSPENDED, ServerEvent.FAILED},
    Job.RESUME: {ServerEvent.RESUMED, ServerEvent.FAILED},
    Job.REBUILD: {ServerEvent.BOOTED, ServerEvent.REBUILT, ServerEvent.FAILED},
    Job.DELETE: {ServerEvent.DELETED},
}


def lived(events: list[ServerEvent]) -> Life:
    """The life after these events, those that do not fit left out."""
    life = NEW
    for event in events:
        life = NEXT.get((life.vm, life.task, event), life)
    return life


def test_a_server_boots_stops_starts_and_is_deleted() -> None:
    life = NEW
    told = []
    for event in (
        ServerEvent.BOOTED,
        ServerEvent.STOP,
        ServerEvent.STOPPED,
        ServerEvent.START,
        ServerEvent.BOOTED,
        ServerEvent.REBOOT_HARD,
        ServerEvent.BOOTED,
        ServerEvent.DELETE,
        ServerEvent.DELETED,
    ):
        life = after(life, event, SERVER)
        told.append(status(life))
    assert told == ["ACTIVE", "ACTIVE", "SHUTOFF", "SHUTOFF", "ACTIVE", "HARD_REBOOT", "ACTIVE", "ACTIVE", "DELETED"]


def test_a_server_is_paused_and_suspended_and_goes_on() -> None:
    life = Life(VmState.ACTIVE, None, PowerState.RUNNING)
    told = []
    for event in (
        ServerEvent.PAUSE,
        ServerEvent.PAUSED,
        ServerEvent.UNPAUSE,
        ServerEvent.UNPAUSED,
        ServerEvent.SUSPEND,
        ServerEvent.SUSPENDED,
        ServerEvent.RESUME,
        ServerEvent.RESUMED,
    ):
        life = after(life, event, SERVER)
        told.append((status(life), int(life.power)))
    assert told == [
        ("ACTIVE", 1),
        ("PAUSED", 3),
        ("PAUSED", 3),
        ("ACTIVE", 1),
        ("ACTIVE", 1),
        ("SUSPENDED", 4),
        ("SUSPENDED", 4),
        ("ACTIVE", 1),
    ]


ACTIVE = Life(VmState.ACTIVE, None, PowerState.RUNNING)
STOPPED = Life(VmState.STOPPED, None, PowerState.SHUTDOWN)


@pytest.mark.parametrize(
    ("life", "event", "words"),
    [
        (ACTIVE, ServerEvent.START, "Cannot 'os-start' instance s1 while it is in vm_state active"),
        (STOPPED, ServerEvent.STOP, "Cannot 'os-stop' instance s1 while it is in vm_state stopped"),
        (NEW, ServerEvent.REBOOT_SOFT, "Cannot 'reboot' instance s1 while it is in task_state scheduling"),
    ],
)
def test_what_does_not_fit_is_refused_in_novas_words(life: Life, event: ServerEvent, words: str) -> None:
    with pytest.raises(Conflict, match=words):
        after(life, event, SERVER)


@given(st.lists(st.sampled_from(ServerEvent), max_size=12))
def test_a_server_can_be_deleted_in_any_state_that_it_can_reach(events: list[ServerEvent]) -> None:
    life = lived(events)
    if life.vm is VmState.DELETED:
        assert all((life.vm, life.task, event) not in NEXT for event in ServerEvent if event is not ServerEvent.DELETED)
        return
    deleting = after(life, ServerEvent.DELETE, SERVER)
    assert job_of(deleting) is Job.DELETE
    assert after(deleting, ServerEvent.DELETE, SERVER) == deleting
    assert after(deleting, ServerEvent.DELETED, SERVER).vm is VmState.DELETED


@given(st.lists(st.sampled_from(ServerEvent), max_size=12))
def test_a_job_under_way_can_always_end_and_then_nothing_is_under_way(events: list[ServerEvent]) -> None:
    life = lived(events)
    job = job_of(life)
    if job is None:
        return
    ends = {event for event in HOSTS_WORDS if (life.vm, life.task, event) in NEXT}
    assert ends
    assert ends <= DONE[job]
    assert all(job_of(NEXT[life.vm, life.task, event]) is None for event in ends)


@given(st.lists(st.sampled_from(ServerEvent), max_size=12), st.sampled_from(HOSTS_WORDS))
def test_a_word_of_a_host_that_comes_twice_changes_nothing(events: list[ServerEvent], word: ServerEvent) -> None:
    life = lived(events)
    once = NEXT.get((life.vm, life.task, word))
    if once is not None and word is not ServerEvent.GUEST_ENDED:
        assert NEXT.get((once.vm, once.task, word), once) == once


def test_a_server_that_is_being_deleted_is_never_active_again() -> None:
    for vm in VmState:
        words = {event for event in ServerEvent if (vm, TaskState.DELETING, event) in NEXT}
        assert words <= {ServerEvent.DELETE, ServerEvent.DELETED}
