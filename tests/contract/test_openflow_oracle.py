"""The golden messages that our packer is held against are those that os-ken packs today."""

import subprocess
from pathlib import Path

HERE = Path(__file__).parents[2]
ORACLE = HERE / ".venv-oracle" / "bin" / "python"
GOLDEN = HERE / "tests" / "unit" / "openflow_golden.json"
SCRIPT = HERE / "tests" / "unit" / "make_openflow_golden.py"


def test_os_ken_packs_the_golden_messages(tmp_path: Path) -> None:
    assert ORACLE.exists(), "os-ken is missing: script/setup --oracle"
    made = tmp_path / "golden.json"
    subprocess.run([ORACLE, SCRIPT, made], check=True, timeout=15, capture_output=True)
    assert made.read_text() == GOLDEN.read_text()
