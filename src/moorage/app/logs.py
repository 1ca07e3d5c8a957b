"""Where log lines go: one file, one JSON object a line, ours and the libraries' alike."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from structlog.typing import Processor


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Log lines are appended to `path`, which only its owner may read; afterwards they are dropped."""
    log_to(path)
    try:
        yield
    finally:
        _log_by(logging.NullHandler())


def log_to(path: Path) -> None:
    """From now on log lines are appended to `path`, which only its owner may read."""
    logging.raiseExceptions = False  # a disk that is full takes no lines, and is no reason to print stack traces
    path.touch(mode=0o600)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.FileHandler(path)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    _log_by(handler)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _log_by(handler: logging.Handler) -> None:
    root = logging.getLogger()
    for before in list(root.handlers):
        root.removeHandler(before)
        before.close()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
