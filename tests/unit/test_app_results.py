"""Facts become the ten hops of a result, and its JSON."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from moorage.app.results import (
    Boot,
    Step,
    boot_json,
    held_ms,
    hop_times,
    hops_json,
    plugged_to_running_ms,
    set_aside,
    with_steps,
)
from moorage.domain.hops import HOPS, Crossing, Fact, Hop, SubFact
from moorage.domain.ids import PortId
from moorage.wire.facts import from_wire, to_wire
from moorage.wire.messages import FactSpec

ASKED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PORT = PortId("9b2f1c58-0d3e-4a6b-8b39-1f8d3f0f6a11")


def fact(what: Hop | SubFact, ms: float, port: PortId | None = PORT) -> Fact:
    return Fact(what=what, wall=ASKED + timedelta(milliseconds=ms), monotonic=ms / 1000, who="test", port=port)


def whole_boot() -> list[Fact]:
    return [fact(hop, 10.0 * number) for number, hop in enumerate(HOPS)]


def boot(hops: list[Fact]) -> Boot:
    return Boot("demo", "server", "port", "simulated", hop_times(hops), "ACTIVE", "ACTIVE", "10.0.0.5", None, None)


def test_a_whole_boot_has_ten_hops_with_ms_since_asked() -> None:
    assert [(time.hop, time.ms) for time in hop_times(whole_boot())] == [
        (hop, 10.0 * number) for number, hop in enumerate(HOPS)
    ]


def test_a_hop_that_did_not_happen_has_neither_time_nor_ms() -> None:
    without_woken = [told for told in whole_boot() if told.what is not Hop.WOKEN]
    [woken] = [time for time in hop_times(without_woken) if time.hop is Hop.WOKEN]
    assert (woken.at, woken.ms) == (None, None)


def test_hops_keep_the_words_order_when_running_came_before_seen() -> None:
    facts = [fact(Hop.ASKED, 0), fact(Hop.RUNNING, 50), fact(Hop.SEEN, 3000)]
    assert [time.hop for time in hop_times(facts)] == list(HOPS)


def test_no_facts_are_ten_hops_without_times() -> None:
    assert [(time.hop, time.at, time.ms) for time in hop_times([])] == [(hop, None, None) for hop in HOPS]


def test_a_guest_is_held_from_its_creation_to_its_running() -> None:
    assert held_ms([*whole_boot(), fact(SubFact.HELD, 15, port=None)]) == 75.0


def test_a_guest_that_was_held_in_an_earlier_boot_is_not_counted() -> None:
    assert held_ms([*whole_boot(), fact(SubFact.HELD, -500, port=None)]) is None


def test_the_handshake_is_plugged_to_running() -> None:
    assert plugged_to_running_ms(whole_boot()) == 70.0


def test_a_hop_that_crossed_the_bus_says_how_and_no_other() -> None:
    way = Crossing("moorage.services", "network", "network")
    facts = [replace(told, bus=way) if told.what is Hop.READY else told for told in whole_boot()]
    assert from_wire(map(to_wire, facts)) == facts
    expected = {"exchange": "moorage.services", "routing_key": "network", "queue": "network"}
    told = {hop["hop"]: hop.get("bus") for hop in hops_json(hop_times(facts))}
    assert told == {hop.value: expected if hop is Hop.READY else None for hop in HOPS}
    assert all("bus" not in hop for hop in hops_json(hop_times(whole_boot())))


def test_words_that_we_do_not_know_are_passed_over() -> None:
    specs = [
        FactSpec(what="asked", wall=ASKED, monotonic=0.0, who="compute-api", server="s"),
        FactSpec(what="teleported", wall=ASKED, monotonic=0.0, who="the future"),
    ]
    assert [told.what for told in from_wire(specs)] == [Hop.ASKED]


def test_the_json_has_the_keys_that_checks_rely_on() -> None:
    data = boot_json(with_steps(boot(whole_boot()), [Step("nothing left behind", ASKED, True)]))
    assert list(data) == [
        "kind",
        "server",
        "port",
        "host_kind",
        "hops",
        "server_status",
        "port_status",
        "address",
        "ping",
        "fault",
        "steps",
    ]
    assert data["hops"][0] == {"hop": "asked", "at": "2026-01-02T03:04:05.000000Z", "ms": 0.0}
    assert data["steps"] == [{"what": "nothing left behind", "at": "2026-01-02T03:04:05.000000Z", "ok": True}]


def test_a_step_that_cannot_be_tried_spoils_nothing_and_one_that_failed_does() -> None:
    assert with_steps(boot(whole_boot()), [Step("ping answered", None, None)]).is_fine
    assert not with_steps(boot(whole_boot()), [Step("ping answered", None, False)]).is_fine


def test_a_port_is_set_aside_until_it_is_wired() -> None:
    other = PortId("other")
    boot = [*whole_boot()[:4], replace(fact(SubFact.SET_ASIDE, 40), detail="nonsense")]
    assert set_aside([*boot, fact(Hop.WIRED, 41, other)]) == {PORT: "nonsense"}
    assert set_aside([*boot, fact(Hop.WIRED, 50)]) == {}
    assert set_aside([*boot, fact(SubFact.REWIRED, 50)]) == {}
    assert set_aside([*boot, *[replace(told, wall=told.wall + timedelta(hours=1)) for told in whole_boot()[:2]]]) == {}
