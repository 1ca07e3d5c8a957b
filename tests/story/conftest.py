"""Stories run on virtual time: an hour of waiting takes no time, and how long a boot took is exact.

Only a test's body runs on it, its async fixtures do not: build the cloud inside the test. A loop's time begins at 0.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

HERE = Path(__file__).parent
ALARMS = ("compute does not take events; they are kept",)  # somebody is away, which is no error of ours


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("CI"):
        config.option.asyncio_debug = True
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("looptime") is None:
            # before time moves all that is ready has run: to look for more, as looptime does 42 times, is in vain
            item.add_marker(pytest.mark.looptime(noop_cycles=1))


@pytest.fixture
def errors() -> Iterator[list[str]]:
    """No log, which nobody reads of a thousand boots and which takes a third of their time; what it would have said of
    our own errors is here."""
    before = structlog.get_config()
    found: list[str] = []

    def kept(_logger: object, method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        if method in ("error", "exception", "critical") and event["event"] not in ALARMS:
            found.append(", ".join(f"{name}={value}" for name, value in event.items()))
        raise structlog.DropEvent

    structlog.configure(processors=[structlog.contextvars.merge_contextvars, kept], cache_logger_on_first_use=False)
    yield found
    structlog.configure(**before)
