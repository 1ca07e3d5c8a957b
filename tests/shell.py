"""A user's shell, in which tests run the command."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MOORAGE = (sys.executable, "-m", "moorage.cli.entry")


@contextmanager
def a_shell(home: Path, *, patience: float = 18.0) -> Iterator["Shell"]:
    """A shell whose temporary folder has a short path, since there will be sockets below it."""
    with tempfile.TemporaryDirectory(prefix="m", dir="/tmp") as temporary:
        yield Shell(home, Path(temporary), patience)


class Shell:
    """A user's shell with a state and a temporary folder of its own."""

    def __init__(self, home: Path, temporary: Path, patience: float) -> None:
        self.home = home
        self.temporary = temporary
        self.patience = patience  # seconds, for each command
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "MOORAGE_"))}
        (home / "state").mkdir()
        self.environ |= {"XDG_STATE_HOME": str(home / "state"), "TMPDIR": str(temporary)}

    def moorage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*MOORAGE, *arguments], env=self.environ, capture_output=True, text=True, timeout=self.patience, check=False
        )

    def json(self, *arguments: str) -> Any:
        ended = self.moorage(*arguments, "--json", "-")
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def left(self) -> list[Path]:
        """Files that private clouds have left."""
        return [*self.temporary.iterdir(), *(self.home / "state").iterdir()]

    @contextmanager
    def endless_bench(self, kind: str) -> Iterator[subprocess.Popen[bytes]]:
        """A bench that is in the middle of its boots, and would go on for hours."""
        command = [*MOORAGE, "bench", "handshake", "--host-kind", kind, "--boots", "100000"]
        with subprocess.Popen(command, env=self.environ, stdout=subprocess.PIPE) as running:
            try:
                assert running.stdout is not None
                said = b""
                while b"booting" not in said:
                    more = os.read(running.stdout.fileno(), 4096)
                    assert more, said
                    said += more
                yield running
            finally:
                running.kill()


def hop_ms(result: dict[str, Any]) -> dict[str, float | None]:
    return {hop["hop"]: hop["ms"] for hop in result["hops"]}


def steps(result: dict[str, Any]) -> dict[str, bool | None]:
    return {step["what"]: step["ok"] for step in result["steps"]}
