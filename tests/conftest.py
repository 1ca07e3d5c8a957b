"""For every test: no event loop but those that tests are run on, and one RabbitMQ for all that want one."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from moorage.adapters.rabbitmq.broker import PrivateBroker

# Python 3.11 makes a loop for the first who asks for the current one. pytest-asyncio 1.5 asks after each synchronous
# test, to put it back, and never closes it: a ResourceWarning, which here is an error, in some later test.
asyncio.get_event_loop_policy().set_event_loop(None)


# How long an example takes is told by what else the machine does, and is no property of the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def broker() -> "Iterator[PrivateBroker]":
    """A RabbitMQ for all tests; each takes a vhost of its own, and leaves it running."""
    from tests.rabbitmq import a_broker

    with a_broker() as running:
        yield running
