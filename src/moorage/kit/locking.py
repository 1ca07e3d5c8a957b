"""Whether a file or a directory is locked by somebody (flock)."""

import fcntl
import os
from pathlib import Path


def is_locked(path: Path) -> bool:
    """False also when it is not there, or nobody's to look at. Looking locks it for a moment."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
