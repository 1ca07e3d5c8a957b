"""Run in .venv-compat: `openstack` commands from stdin, a JSON list a line; how each ended goes to stdout."""

import io
import json
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout

import openstackclient.shell  # type: ignore[import-not-found]

warnings.simplefilter("ignore")  # of the clients' own making

for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = openstackclient.shell.main(json.loads(line))
        except SystemExit as exit:  # argparse's way to refuse
            code = exit.code
    print(json.dumps({"code": int(code or 0), "out": out.getvalue(), "err": err.getvalue()}), flush=True)
