"""The command as its user has called it, for lines to paste."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def called(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """`moorage` where the shell finds this one by that name, else its path, quoted for the shell."""
    program = (sys.argv if argv is None else argv)[0]
    if Path(program).suffix == ".py":
        return f"{shlex.quote(sys.executable)} -m moorage.cli.entry"
    found = shutil.which("moorage", path=environ.get("PATH", os.defpath))
    if found is not None and os.path.realpath(found) == os.path.realpath(program):
        return "moorage"
    plain = os.path.relpath(program)  # script/demo's `exec` has made it absolute
    is_below = not plain.startswith(os.pardir) and os.path.realpath(plain) == os.path.realpath(program)
    return shlex.quote(plain if is_below else program)
