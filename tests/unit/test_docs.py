"""What the pages say shows a thing is there: each test and each script that they name."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMED = re.compile(r"\b((?:tests|script)/[\w./*-]*[\w*])(?:::(\w+))?")


@cache
def source(path: Path) -> str:
    return path.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tests_and_scripts_that_a_page_names_are_there(page: Path) -> None:
    for pattern, test in NAMED.findall(source(page)):
        found = list(ROOT.glob(re.sub(r"\b[A-Z]{2,}\b", "*", pattern)))  # a word in capitals stands for a name
        assert found, f"{pattern} is not there"
        assert not test or f"def {test}(" in source(found[0]), f"{pattern} has no {test}"


def test_each_row_of_what_holds_and_of_what_fails_is_shown_by_something() -> None:
    for page in (ROOT / "docs" / "status.md", ROOT / "docs" / "reliability.md"):
        holds = source(page).partition("## Next")[0]
        rows = [row for row in holds.splitlines() if row.startswith("|")][2:]
        assert rows
        for row in rows:
            assert re.search(r"`(tests|script|moorage)\b", row.rstrip("| ").rpartition("|")[2]), row
