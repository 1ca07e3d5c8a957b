"""The steps of an experiment: proven by looks, timed by the facts that tell of them."""

from datetime import UTC, datetime, timedelta

from moorage.app.experiment import CLEANED, exact_times
from moorage.domain.hops import Fact, Hop, SubFact

ASKED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def at(ms: float) -> datetime:
    return ASKED + timedelta(milliseconds=ms)


def fact(what: Hop | SubFact, ms: float) -> Fact:
    return Fact(what=what, wall=at(ms), monotonic=ms / 1000, who="test")


def test_looks_that_raced_one_another_get_the_times_of_the_facts() -> None:
    looked = {"guest gone": at(508), "OVS port gone": at(506), "port unbound or deleted": at(520)}
    facts = [fact(Hop.ASKED, 0), fact(SubFact.POWERED_OFF, 501), fact(SubFact.UNPLUGGED, 503)]
    assert list(exact_times(looked, facts, CLEANED).items()) == [
        ("guest gone", at(501)),
        ("OVS port gone", at(503)),
        ("port unbound or deleted", at(520)),
    ]


def test_a_fact_proves_nothing_that_was_not_seen() -> None:
    looked = {"guest gone": None, "OVS port gone": at(506)}
    facts = [fact(Hop.ASKED, 0), fact(SubFact.POWERED_OFF, 501)]
    assert exact_times(looked, facts, CLEANED) == {"guest gone": None, "OVS port gone": at(506)}


def test_what_was_seen_already_is_not_timed_later() -> None:
    """Taking down is repeatable, and tells it again."""
    looked = {"guest gone": at(508), "OVS port gone": at(509)}
    facts = [fact(SubFact.POWERED_OFF, -90), fact(Hop.ASKED, 0), fact(SubFact.POWERED_OFF, 700)]
    assert exact_times(looked, facts, CLEANED) == {"guest gone": at(508), "OVS port gone": at(509)}
