"""What a log line looks like, to programs and to people."""

import json
import logging
from pathlib import Path

import pytest
import structlog

from moorage.app.config import LogFormat
from moorage.app.logs import log_to, logging_to


@pytest.fixture(autouse=True)
def _as_before() -> object:
    yield
    structlog.reset_defaults()


def test_a_line_for_programs_is_an_object(tmp_path: Path) -> None:
    with logging_to(path := tmp_path / "log"), structlog.contextvars.bound_contextvars(request_id="req-1", host="h"):
        structlog.get_logger("moorage.hops").info("hop 3 of 10: plugged", server="web", hop="plugged")
        logging.getLogger("a.library").warning("its own %s", "words")
    ours, theirs = [json.loads(line) for line in path.read_text().splitlines()]
    assert ours.items() >= {"request_id": "req-1", "host": "h", "server": "web", "level": "info"}.items()
    assert (theirs["event"], theirs["logger"], theirs["level"]) == ("its own words", "a.library", "warning")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_line_for_people_is_a_sentence_with_its_values_behind(tmp_path: Path) -> None:
    log_to(path := tmp_path / "log", LogFormat.PEOPLE)
    log = structlog.get_logger("moorage.hops")
    log.info("hop 3 of 10: plugged", server="web", why="it was\nso")
    log.error("it failed", exc_info=ValueError("no"))
    for handler in logging.getLogger().handlers[:]:
        logging.getLogger().removeHandler(handler)
        handler.close()
    first, second, *trace = path.read_text().splitlines()
    assert first[2] == ":"
    assert first[12:] == ' info     hop 3 of 10: plugged  server=web why="it was\\nso"'
    assert second.endswith("error    it failed")
    assert trace[-1] == "ValueError: no"


def test_a_broker_that_is_away_does_not_fill_the_log_with_what_its_client_says_at_each_try(tmp_path: Path) -> None:
    with logging_to(path := tmp_path / "log"):
        logging.getLogger("aiormq.connection").error("error when creating transport")
    assert path.read_text() == ""
