"""What becomes of an event after each answer."""

from datetime import timedelta

import pytest
from tests.unit.ports import NOW, SERVER

from moorage.domain.events import (
    LONGEST_DELAY,
    EventName,
    ExternalEvent,
    OutboxItem,
    Verdict,
    delay_after,
    goes_alone,
    is_forgotten,
    judge,
    refused,
)
from moorage.domain.ids import PortId, ServerId

AGAIN, DEAD, DELIVERED = Verdict.AGAIN, Verdict.DEAD, Verdict.DELIVERED


def item(name: EventName = EventName.VIF_PLUGGED) -> OutboxItem:
    event = ExternalEvent(name=name, server=ServerId(SERVER), tag=PortId("p1"))
    return OutboxItem(id=1, event=event, made_at=NOW)


@pytest.mark.parametrize(
    ("code", "still_so", "verdict"),
    [
        (200, True, DELIVERED),
        (202, True, DELIVERED),
        (404, True, AGAIN),
        (422, True, AGAIN),
        (422, False, DEAD),
        (400, True, DEAD),
        (500, True, AGAIN),
        (409, True, AGAIN),
    ],
)
def test_each_answer_has_its_verdict(code: int, still_so: bool, verdict: Verdict) -> None:
    judgement = judge(item(), code, NOW, still_so=still_so)
    assert judgement.verdict is verdict
    assert bool(judgement.reason) is (verdict is not DELIVERED)


def test_three_404s_spread_over_half_a_minute_are_the_end() -> None:
    now, one = NOW, item()
    for _ in range(2):
        judgement = judge(one, 404, now)
        assert judgement.verdict is AGAIN
        one = judgement.item
        assert one.due_at is not None
        now = one.due_at
    assert now == NOW + timedelta(seconds=30)
    assert judge(one, 404, now).verdict is DEAD


def test_other_answers_between_do_not_bring_the_end_nearer() -> None:
    one = judge(judge(item(), 404, NOW).item, 422, NOW).item
    assert one.not_found == 1
    assert judge(one, 404, NOW).verdict is AGAIN


def test_after_two_requests_that_compute_failed_at_an_event_goes_alone_and_later_each_time() -> None:
    one, delays = item(), []
    for tries in range(8):
        assert goes_alone(one) is (tries >= 2)
        judgement = refused(one, NOW)
        assert (judgement.verdict, judgement.item.refused_at) == (AGAIN, NOW)
        one = judgement.item
        assert one.due_at is not None
        delays.append(one.due_at - NOW)
    assert delays == [delay_after(tries) for tries in range(8)]
    blamed = refused(one, NOW, is_cause=True).item
    assert refused(blamed, NOW).item.is_blamed


def test_the_pause_grows_and_is_bounded() -> None:
    delays = [delay_after(tries) for tries in range(20)]
    assert delays[0] == timedelta(milliseconds=100)
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        (EventName.CHANGED, timedelta(seconds=60)),
        (EventName.VIF_DELETED, timedelta(minutes=10)),
        (EventName.VIF_UNPLUGGED, timedelta(minutes=10)),
        (EventName.VIF_PLUGGED, None),
    ],
)
def test_news_is_forgotten_at_its_age_but_plugged_never(name: EventName, limit: timedelta | None) -> None:
    if limit is None:
        assert not is_forgotten(item(name), NOW + timedelta(days=9))
        assert judge(item(name), 422, NOW + timedelta(days=9)).verdict is AGAIN
        return
    assert not is_forgotten(item(name), NOW + limit)
    late = NOW + limit + timedelta(seconds=1)
    assert is_forgotten(item(name), late)
    assert judge(item(name), 422, late).verdict is DEAD
    assert judge(item(name), 200, late).verdict is DELIVERED
