"""What has really gone wrong, and how it is said in one line."""

import errno
import os

from moorage.domain.errors import MoorageError

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}


def only_cause(error: Exception) -> Exception:
    """What failed in a group of tasks; the group itself when several things did, none of them ours."""
    if not isinstance(error, ExceptionGroup):
        return error
    causes = [only_cause(inner) for inner in error.exceptions]
    ours = [cause for cause in causes if isinstance(cause, MoorageError)]
    return ours[0] if ours else causes[0] if len(causes) == 1 else error


def foreseen(error: Exception) -> str | None:
    """What to tell of an error that people can do something about: ours, and a disk's. None for any other."""
    if isinstance(error, MoorageError):
        return error.message
    if isinstance(error, OSError) and error.errno in _DISK:
        return f"{error.filename or 'a file'} cannot be written or read: {os.strerror(error.errno or 0)}"
    return None


def unforeseen(error: Exception) -> str:
    return f"an unforeseen failure: {type(error).__name__}: {error}".replace("\n", " ")
