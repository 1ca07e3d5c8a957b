"""What people are shown of a guest's page."""

import pytest

from moorage.cli.demo import first_line


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("hello from host-10-0-0-2\n", "hello from host-10-0-0-2"),
        ("<!DOCTYPE html>\n<title>a &amp; b</title>\n<p>hello from a &amp; b\n", "hello from a & b"),
        ("", ""),
        ("x" * 100, "x" * 60),
    ],
)
def test_the_first_line_of_a_page_is_its_text(page: str, shown: str) -> None:
    assert first_line(page) == shown
