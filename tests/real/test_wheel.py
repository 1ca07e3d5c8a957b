"""The wheel that people install carries all it needs, and works from any directory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]


@pytest.mark.timeout(60)
def test_the_built_wheel_boots_a_guest_from_any_directory(tmp_path: Path) -> None:
    pip: list[str | Path] = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, HERE]
    subprocess.run(build, check=True, timeout=50, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", tmp_path / "site", wheel], check=True, timeout=30)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "XDG_STATE_HOME": str(tmp_path / "state")}
    code = "import sys; from moorage.cli.main import main; sys.exit(main())"
    for kind in ("simulated", "netns"):
        ran = subprocess.run(
            [sys.executable, "-c", code, "demo", "--host-kind", kind, "--json", "-"],
            cwd="/",
            env=environment,
            timeout=30,
            capture_output=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr.decode()
        assert json.loads(ran.stdout)["server_status"] == "ACTIVE"
    newest = (
        "from moorage.adapters.database import migrating, schemas\n"
        "assert all(migrating.revisions(schema)[-1] == schema.head for schema in schemas.SCHEMAS)"
    )
    subprocess.run([sys.executable, "-c", newest], cwd="/", env=environment, timeout=30, check=True)
