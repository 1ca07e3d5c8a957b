"""Stories run on virtual time: an hour of waiting takes no time, and how long a boot took is exact.

Only a test's body runs on it, its async fixtures do not: build the cloud inside the test. A loop's time begins at 0.
"""

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("CI"):
        config.option.asyncio_debug = True
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("looptime") is None:
            item.add_marker(pytest.mark.looptime)
