"""The numbers that Prometheus reads, and what a process remembers of boots to make them."""

from datetime import UTC, datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families

from moorage.adapters.metrics.prometheus import PrometheusMetrics
from moorage.app import hop_memory
from moorage.app.hop_memory import HopMemory
from moorage.domain.hops import HOPS, Fact, Hop, SubFact
from moorage.domain.ids import Generation, PortId, ServerId
from moorage.seams.metrics import Levels

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WEB = ServerId("web")
A, B = PortId("a"), PortId("b")


def fact(what: Hop | SubFact, ms: float, port: PortId | None = None, generation: str | None = "g1") -> Fact:
    at = NOON + timedelta(milliseconds=ms)
    return Fact(what, at, ms / 1000, "test", WEB, port, None if generation is None else Generation(generation))


def samples(metrics: PrometheusMetrics, levels: Levels) -> dict[tuple[str, ...], float]:
    body, kind = metrics.rendered(levels)
    assert kind.startswith("text/plain")
    return {
        (sample.name, *(value for name, value in sorted(sample.labels.items()) if name != "le")): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


def test_what_was_noted_is_rendered() -> None:
    metrics = PrometheusMetrics()
    metrics.hop_reached(Hop.WIRED, 0.004)
    metrics.handshake_took(0.02)
    metrics.looked("agent", 0.1)
    metrics.batch_sent("report", 7)
    metrics.answered("compute", "POST", 202, 0.005)
    read = samples(metrics, Levels(3, 2, 1.5, 1, 9))
    assert read["moorage_hop_seconds_sum", "wired"] == 0.004
    assert read["moorage_handshake_seconds_count",] == 1
    assert read["moorage_look_seconds_count", "agent"] == 1
    assert read["moorage_agent_batch_ports_sum", "report"] == 7
    assert read["moorage_http_requests_total", "POST", "compute", "202"] == 1
    assert read["moorage_waits_open",] == 3
    assert read["moorage_outbox_waiting",] == 2
    assert read["moorage_outbox_oldest_seconds",] == 1.5
    assert read["moorage_dead_events",] == 1
    assert read["moorage_facts_dropped_total",] == 9


def test_two_clouds_do_not_mix() -> None:
    one, other = PrometheusMetrics(), PrometheusMetrics()
    one.handshake_took(1.0)
    assert samples(other, Levels())["moorage_handshake_seconds_count",] == 0


def test_each_hop_is_timed_since_the_one_before_of_the_same_port() -> None:
    memory = HopMemory()
    memory.note(fact(Hop.ASKED, 0, generation=None), "req-1")
    for at, hop in enumerate(HOPS[1:9], start=1):
        assert memory.note(fact(hop, 10 * at, A), "").since_hop_before == 0.01
        assert memory.note(fact(hop, 10 * at + 5, B), "").since_hop_before == (0.015 if hop is Hop.BOUND else 0.01)
    last = memory.note(fact(Hop.RUNNING, 100), "")
    assert last.since_hop_before == 0.015  # since its last port was woken
    assert last.handshake == 0.075
    assert last.request_id == "req-1"


def test_what_is_told_twice_is_timed_once() -> None:
    memory = HopMemory()
    memory.note(fact(Hop.PLUGGED, 0, A), "req-1")
    assert memory.note(fact(Hop.SEEN, 3, A), "").since_hop_before == 0.003
    assert memory.note(fact(Hop.SEEN, 9, A), "").since_hop_before is None


def test_another_attempt_begins_anew_and_keeps_its_request() -> None:
    memory = HopMemory()
    memory.note(fact(Hop.ASKED, 0, generation=None), "req-1")
    memory.note(fact(SubFact.PLACED, 1), "req-1")
    memory.note(fact(Hop.BOUND, 2, A), "req-other")
    memory.note(fact(SubFact.PLACED, 1000, generation="g2"), "")
    again = memory.note(fact(Hop.BOUND, 1010, A, "g2"), "req-1")
    assert again.since_hop_before == 1.01  # since it was asked for
    assert memory.note(fact(Hop.SEEN, 1020, A, "g2"), "").since_hop_before is None  # plugged was not told
    assert memory.note(fact(Hop.TOLD, 1030, A, "g2"), "req-event").request_id == "req-1"


def test_a_new_request_has_its_own_id() -> None:
    memory = HopMemory()
    memory.note(fact(Hop.ASKED, 0, generation=None), "req-1")
    memory.note(fact(Hop.ASKED, 9, generation=None), "req-2")
    assert memory.note(fact(Hop.SEEN, 10, A), "").request_id == "req-2"


def test_memory_is_bounded(monkeypatch: object) -> None:
    memory = HopMemory()
    for number in range(hop_memory.MOST + 10):
        memory.note(Fact(Hop.ASKED, NOON, 0.0, "test", ServerId(str(number))), "req")
    assert len(memory._boots) == hop_memory.MOST
