"""Metrics as Prometheus reads them, in its text format."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from moorage.domain.hops import Hop
from moorage.seams.metrics import Levels

# From the handshake's own milliseconds to the deadline that a silent hop runs into.
HOP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 300)
HTTP_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10)
LOOK_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10)
PORTS = (1, 2, 5, 10, 25, 50, 100, 250, 1000)


class PrometheusMetrics:
    """A registry of its own: two clouds in one process do not mix."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry(auto_describe=True)
        self._levels = _LevelsNow()
        registry.register(self._levels)
        self._hops = Histogram(
            "moorage_hop_seconds",
            "Time since the hop before, for each hop of a boot",
            ["hop"],
            buckets=HOP_SECONDS,
            registry=registry,
        )
        self._handshakes = Histogram(
            "moorage_handshake_seconds", "From plugged to running", buckets=HOP_SECONDS, registry=registry
        )
        self._looks = Histogram(
            "moorage_look_seconds",
            "Looks at how things are: an agent's full look, compute's look at awaited ports",
            ["who"],
            buckets=LOOK_SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            "moorage_agent_batch_ports",
            "Ports in one message of an agent to the network",
            ["message"],
            buckets=PORTS,
            registry=registry,
        )
        self._requests = Counter(
            "moorage_http_requests",
            "HTTP requests answered, those that services ask of one another included",
            ["service", "method", "status"],
            registry=registry,
        )
        self._request_times = Histogram(
            "moorage_http_request_seconds",
            "Time until a request was answered",
            ["service"],
            buckets=HTTP_SECONDS,
            registry=registry,
        )

    def hop_reached(self, hop: Hop, seconds: float) -> None:
        self._hops.labels(hop.value).observe(seconds)

    def handshake_took(self, seconds: float) -> None:
        self._handshakes.observe(seconds)

    def looked(self, who: str, seconds: float) -> None:
        self._looks.labels(who).observe(seconds)

    def batch_sent(self, what: str, ports: int) -> None:
        self._batches.labels(what).observe(ports)

    def answered(self, service: str, method: str, status: int, seconds: float) -> None:
        self._requests.labels(service, method, str(status)).inc()
        self._request_times.labels(service).observe(seconds)

    def rendered(self, levels: Levels) -> tuple[bytes, str]:
        self._levels.now = levels
        return generate_latest(self._registry), CONTENT_TYPE_LATEST


class _LevelsNow(Collector):
    """What is read, not counted: as it was given for this rendering."""

    def __init__(self) -> None:
        self.now = Levels()

    def collect(self) -> Iterator[Metric]:
        now = self.now
        yield GaugeMetricFamily("moorage_waits_open", "Ports that a boot waits for", now.waits_open)
        yield GaugeMetricFamily("moorage_outbox_waiting", "Events not delivered to compute yet", now.outbox_waiting)
        yield GaugeMetricFamily(
            "moorage_outbox_oldest_seconds", "Age of the oldest undelivered event", now.outbox_oldest
        )
        yield GaugeMetricFamily("moorage_dead_events", "Events that were given up, and are kept", now.dead_events)
        yield CounterMetricFamily("moorage_facts_dropped", "Facts of the timeline that were lost", now.facts_dropped)
