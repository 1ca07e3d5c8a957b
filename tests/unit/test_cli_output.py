"""People's text and JSON are kept apart; colour is for terminals that want it."""

import io
import json
import stat
from pathlib import Path

import pytest

from moorage.cli.output import GREEN, Output, output


def test_plain_output_has_no_escapes() -> None:
    people = io.StringIO()
    out = Output(None, people, is_coloured=False)
    out.preparing("building the guest image (once)")
    out.say(f"{out.mark(True)} {out.mark(False)} {out.mark(None)} {out.style('ready', GREEN)}")
    assert people.getvalue() == "  building the guest image (once) … 0.0 s\n✓ ✗ \u2013 ready\n"


def test_a_terminal_gets_colour() -> None:
    assert Output(None, io.StringIO(), is_coloured=True).mark(True) == "\x1b[32m✓\x1b[0m"


def test_with_json_on_stdout_people_read_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with output("-") as out:
        out.say("hello")
        out.give({"ready": True})
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"ready": True}
    assert printed.err == "hello\n"


def test_json_goes_to_a_file_and_people_read_stdout(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with output(str(tmp_path / "result.json")) as out:
        out.say("hello")
        out.give({"ready": True})
    assert capsys.readouterr().out == "hello\n"
    assert json.loads((tmp_path / "result.json").read_text()) == {"ready": True}


def test_a_secret_goes_into_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    new, old = tmp_path / "new.json", tmp_path / "old.json"
    old.touch(mode=0o644)
    for file in (new, old):
        with output(str(file)) as out:
            out.give({"password": "x"}, is_secret=True)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_preparation_is_ended_when_the_command_fails(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with output() as out:
            out.preparing("starting …")
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    assert capsys.readouterr().out == "  starting … 0.0 s\n"
