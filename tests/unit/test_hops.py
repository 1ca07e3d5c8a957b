"""Which facts are the latest boot's."""

from datetime import UTC, datetime, timedelta

from moorage.domain.hops import HOPS, Fact, Hop, SubFact, boot_of, last_hop
from moorage.domain.ids import Generation, PortId, ServerId

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(ms: float) -> datetime:
    return START + timedelta(milliseconds=ms)


def fact(what: Hop | SubFact, ms: float, generation: str | None = None, port: str | None = None) -> Fact:
    return Fact(
        what,
        at(ms),
        ms / 1000,
        "somebody",
        ServerId("s"),
        PortId(port) if port else None,
        Generation(generation) if generation else None,
    )


def a_boot(start: float, generation: str, port: str = "p", *, until: Hop = Hop.RUNNING) -> list[Fact]:
    told = [fact(hop, start + n, generation, port) for n, hop in enumerate(HOPS[1:], 1)]
    return told[: HOPS[1:].index(until) + 1]


def test_all_ten_hops_of_one_boot() -> None:
    facts = [fact(Hop.ASKED, 0), *a_boot(0, "g1")]
    assert boot_of(facts) == {hop: at(n) for n, hop in enumerate(HOPS)}


def test_nothing_told_is_nothing_known() -> None:
    assert boot_of([]) == dict.fromkeys(HOPS)


def test_with_two_ports_a_hop_is_its_last_ports() -> None:
    facts = [fact(Hop.ASKED, 0), *a_boot(0, "g1", "p"), *a_boot(100, "g1", "q")]
    assert boot_of(facts)[Hop.WIRED] == at(104)


def test_a_hop_told_twice_counts_once() -> None:
    facts = [fact(Hop.ASKED, 0), *a_boot(0, "g1"), fact(Hop.WIRED, 500, "g1", "p")]
    assert boot_of(facts)[Hop.WIRED] == at(4)


def test_an_attempt_that_failed_elsewhere_is_not_mixed_in() -> None:
    facts = [fact(Hop.ASKED, 0), *a_boot(0, "g1", until=Hop.PLUGGED), *a_boot(5000, "g2")]
    boot = boot_of(facts)
    assert (boot[Hop.ASKED], boot[Hop.PLUGGED], boot[Hop.RUNNING]) == (at(0), at(5002), at(5009))


def test_a_start_is_a_boot_of_its_own() -> None:
    stopped = fact(SubFact.UNPLUGGED, 900, "g1", "p")
    facts = [fact(Hop.ASKED, 0), *a_boot(0, "g1"), stopped, fact(Hop.ASKED, 2000, "g2"), *a_boot(2000, "g2")]
    boot = boot_of(facts)
    assert (boot[Hop.ASKED], boot[Hop.BOUND], boot[Hop.RUNNING]) == (at(2000), at(2001), at(2009))


def test_a_fact_without_a_generation_belongs_to_the_boot_that_it_falls_into() -> None:
    facts = [fact(Hop.ASKED, 0), fact(Hop.HEARD, 1, None, "p"), *a_boot(2000, "g2", until=Hop.TOLD)]
    assert boot_of(facts)[Hop.HEARD] is None
    assert boot_of([*facts, fact(Hop.HEARD, 2008, None, "p")])[Hop.HEARD] == at(2008)


def test_news_of_an_older_generation_that_comes_late_changes_nothing() -> None:
    facts = [
        fact(Hop.ASKED, 0),
        *a_boot(0, "g1", until=Hop.PLUGGED),
        *a_boot(100, "g2"),
        fact(Hop.SEEN, 900, "g1", "p"),
    ]
    assert boot_of(facts)[Hop.SEEN] == at(103)


def test_the_furthest_hop_of_a_port() -> None:
    facts = a_boot(0, "g1", until=Hop.SEEN)
    assert last_hop(facts, PortId("p")) is Hop.SEEN
    assert last_hop(facts, PortId("q")) is None
