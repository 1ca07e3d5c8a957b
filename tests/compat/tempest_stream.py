"""Run in .venv-tempest: a subunit stream from stdin; each test that has ended goes to stdout, a JSON object a line."""

import json
import sys
from typing import Any

import subunit  # type: ignore[import-not-found]
import testtools  # type: ignore[import-not-found]


def tell(test: dict[str, Any]) -> None:
    if test["status"] in ("exists", "inprogress"):
        return
    details = {name: content.as_text() for name, content in test["details"].items() if name != "pythonlogging:''"}
    print(json.dumps({"test": test["id"], "status": test["status"], "details": details}), flush=True)


told = testtools.StreamToDict(tell)
told.startTestRun()
subunit.ByteStreamToStreamResult(sys.stdin.buffer, non_subunit_name="stdout").run(told)
told.stopTestRun()
