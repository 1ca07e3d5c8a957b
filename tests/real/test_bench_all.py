"""Every figure is taken, on real parts: that it can be, not how good it is."""

from pathlib import Path

import pytest
from tests.shell import a_shell


@pytest.mark.timeout(400)
def test_a_few_of_each_make_the_whole_table(tmp_path: Path) -> None:
    with a_shell(tmp_path, patience=380.0) as shell:
        found = shell.json("bench", "all", "--short")
        assert found["machine"]["cores"] >= 1
        assert len(found["machine"]["load_before"]) == len(found["machine"]["load_after"]) == 3
        measured = {figure["figure"]: figure["measured"] for figure in found["figures"]}
        assert [name for name, value in measured.items() if value is None or value < 0] == []
        of_all = {name.partition(":")[0].partition(",")[0] for name in measured}
        assert of_all >= {"up", "a login", "netns", "qemu", "storm", "agent restart"}
        lost = [figure for figure in found["figures"] if figure["unit"].startswith("of ")]
        assert [(figure["measured"], figure["met"]) for figure in lost] == [(0, True), (0, True)]
        floors = [figure["floor"] for figure in found["figures"] if figure["floor"] is not None]
        assert len(floors) == 4
        assert min(floors) > 0
        assert shell.left() == []
