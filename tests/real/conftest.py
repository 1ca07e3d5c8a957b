"""What the tests of real guests can be asked to do besides."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-death", action="store_true", help="kill each part at each hop of QEMU guests' boots too")
