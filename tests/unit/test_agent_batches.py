"""Which ports an agent wires next when there are many."""

from dataclasses import replace

import pytest

from moorage.agent.batches import BATCH, SHARE, Progress, Queue, batch_of, is_awaited, progress
from moorage.domain.ids import Generation, PortId
from moorage.seams.switch import DEAD_VLAN, Interface


def plugged(number: int) -> Interface:
    """A port that a boot waits for."""
    port = PortId(f"new-{number}")
    return Interface(port, f"tap{number}", "", ofport=number + 1, vlan=DEAD_VLAN, generation=Generation("g"))


def wired_before(number: int) -> Interface:
    """A port that was wired, in another life of the agent."""
    return replace(plugged(number), port=PortId(f"old-{number}"), vlan=7)


def ports(batch: list[Interface]) -> list[str]:
    return [interface.port for interface in batch]


def test_a_port_is_awaited_until_it_was_wired_in_its_generation() -> None:
    assert is_awaited(plugged(1))
    assert is_awaited(replace(plugged(1), vlan=None))  # somebody else plugged it
    assert not is_awaited(wired_before(1))


def test_a_batch_is_bounded() -> None:
    assert len(batch_of([plugged(number) for number in range(1000)])) == BATCH
    assert len(batch_of([wired_before(number) for number in range(1000)])) == BATCH


def test_awaited_ports_go_ahead() -> None:
    waiting = [wired_before(1), wired_before(2), plugged(1), wired_before(3), plugged(2)]
    assert ports(batch_of(waiting, size=4)) == ["new-1", "new-2", "old-1", "old-2"]
    assert ports(batch_of(waiting, size=8)) == ["new-1", "new-2", "old-1", "old-2", "old-3"]


def test_however_many_are_awaited_a_share_is_kept_for_the_others() -> None:
    waiting = [plugged(number) for number in range(100)] + [wired_before(number) for number in range(100)]
    batch = batch_of(waiting)
    assert len(batch) == BATCH
    assert sum(not is_awaited(interface) for interface in batch) == BATCH // SHARE


@pytest.mark.parametrize("are_awaited", [True, False])
def test_who_waits_longest_is_first_whatever_order_they_are_seen_in(are_awaited: bool) -> None:
    make = plugged if are_awaited else wired_before
    queue = Queue()
    first = queue.next([make(number) for number in range(BATCH + 2)])
    assert len(first) == BATCH
    left = [make(BATCH), make(BATCH + 1)]
    assert ports(queue.next([make(500), *reversed(left)])) == ports([*left, make(500)])


def test_one_that_failed_is_in_nobodys_way() -> None:
    queue = Queue()
    queue.next([plugged(1), plugged(2)])
    queue.next([plugged(2)])  # the first is not due now
    assert ports(queue.next([plugged(1), plugged(2)])) == ["new-2", "new-1"]


def test_nobody_is_left_out_while_others_keep_coming() -> None:
    queue, old = Queue(), {interface.port: interface for interface in map(wired_before, range(100))}
    turns = 0
    while old:
        new = [plugged(turns * BATCH + number) for number in range(BATCH)]  # each time enough for a whole batch
        for port in ports(queue.next([*new, *old.values()])):
            old.pop(PortId(port), None)
        turns += 1
    assert turns == -(-100 // (BATCH // SHARE))


def test_progress_is_told_when_there_is_more_than_a_batch() -> None:
    assert progress(None, done=3, left=0, began=1.0) is None
    first = progress(None, done=64, left=86, began=1.0)
    assert first == Progress(1.0, 64, 150)
    assert first.per_second(1.5) == 128.0
    second = progress(first, done=64, left=30, began=1.6)  # eight more were plugged meanwhile
    assert second == Progress(1.0, 128, 158)
    assert progress(second, done=30, left=0, began=2.0) == Progress(1.0, 158, 158)


def test_a_rate_of_no_time_is_none() -> None:
    assert Progress(1.0, 64, 150).per_second(1.0) == 0.0
