"""Where log lines go, ours and the libraries' alike: one file, as JSON objects or as lines for people."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog
from structlog.typing import EventDict, Processor

from moorage.app.config import LogFormat


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Log lines are appended to `path`, which only its owner may read; afterwards they are dropped."""
    log_to(path)
    try:
        yield
    finally:
        _log_by(logging.NullHandler())


def log_to(path: Path, form: LogFormat = LogFormat.JSON) -> None:
    """From now on log lines are appended to `path`, which only its owner may read."""
    path.touch(mode=0o600)
    _log_as(form, logging.FileHandler(path))


def log_to_stderr(form: LogFormat) -> None:
    """From now on log lines go to stderr."""
    _log_as(form, logging.StreamHandler())


def _log_as(form: LogFormat, handler: logging.Handler) -> None:
    logging.raiseExceptions = False  # a disk that is full takes no lines, and is no reason to print stack traces
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_RENDERING[form]],
        )
    )
    _log_by(handler)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _for_people(_logger: object, _method: str, line: EventDict) -> str:
    """15:04:05.123 warning  a sentence  name=value …; a trace below."""
    time = str(line.pop("timestamp", ""))[11:23]
    level = str(line.pop("level", ""))
    sentence = line.pop("event", "")
    trace = line.pop("exception", None)
    line.pop("logger", None)
    values = " ".join(f"{name}={_value(value)}" for name, value in line.items())
    return f"{time} {level:<8} {sentence}  {values}".rstrip() + (f"\n{trace}" if trace else "")


def _value(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and not {" ", '"', "="} & set(text) else json.dumps(text)


_RENDERING: Mapping[LogFormat, Sequence[Processor]] = {
    LogFormat.JSON: (structlog.processors.format_exc_info, structlog.processors.JSONRenderer()),
    LogFormat.PEOPLE: (structlog.processors.format_exc_info, _for_people),
}


_QUIET = ("aiormq", "aio_pika")  # each try to connect, each trace; that the bus is lost and back we say ourselves, once


def _log_by(handler: logging.Handler) -> None:
    root = logging.getLogger()
    for before in list(root.handlers):
        root.removeHandler(before)
        before.close()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
