"""Stories run on virtual time: an hour of waiting takes no time, and how long a boot took is exact.

Only a test's body runs on it, its async fixtures do not: build the cloud inside the test. A loop's time begins at 0.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("CI"):
        config.option.asyncio_debug = True
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("looptime") is None:
            # before time moves all that is ready has run: to look for more, as looptime does 42 times, is in vain
            item.add_marker(pytest.mark.looptime(noop_cycles=1))


@pytest.fixture
def silence() -> Iterator[None]:
    """No log: of a thousand boots nobody reads it, and to write it takes a third of the time."""
    before = structlog.get_config()
    structlog.configure(processors=[_drop], cache_logger_on_first_use=False)
    yield
    structlog.configure(**before)


def _drop(_logger: object, _method: str, _event: structlog.types.EventDict) -> structlog.types.EventDict:
    raise structlog.DropEvent
