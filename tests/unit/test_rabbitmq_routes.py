"""What lasts on the broker, and what need not."""

import pytest

from moorage.adapters.rabbitmq.routes import arguments_of, crossing_of, reply_queue
from moorage.domain.ids import HostName


@pytest.mark.parametrize("queue", ["compute.host-1", "agent.host-1", "timeline"])
def test_what_must_last_is_in_quorum_queues_of_a_bounded_length_that_refuse_more(queue: str) -> None:
    made = arguments_of(queue, 10_000)
    assert made["x-queue-type"] == "quorum"
    assert (made["x-max-length"], made["x-overflow"]) == (10_000, "reject-publish")


@pytest.mark.parametrize("queue", ["network", "compute-api"])
def test_calls_are_made_again_and_need_not_last(queue: str) -> None:
    assert arguments_of(queue, 10)["x-queue-type"] == "classic"


def test_each_host_has_queues_of_its_own_and_its_answers_too() -> None:
    ways = [crossing_of(f"{service}.{host}") for service in ("compute", "agent") for host in ("host-1", "host-2")]
    assert len({way.queue for way in ways}) == 4
    assert {way.exchange for way in ways} == {"moorage.hosts"}
    assert reply_queue(HostName("host-1"), "ab") != reply_queue(HostName("host-2"), "ab")
