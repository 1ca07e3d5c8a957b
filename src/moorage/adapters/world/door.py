"""The path at which a holder that lives on its own is reached: by its owner alone, by one holder a directory."""

import fcntl
import os
import socket
import struct
import time
from contextlib import suppress

_PEER = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED
_WAITING = 16  # clients that wait to be taken
_LOOKS, _PAUSE = 20, 0.01  # how often it is tried to lock a locked directory, and seconds between


class Door:
    """A socket that listens on a path, in a directory that is locked until this process and its child have ended."""

    def __init__(self, path: str, group: int | None = None) -> None:
        """With `group` its members come in, too, and the client is told apart by whoever takes it.

        Raises FileExistsError when another holder has the directory, or is still ending there; OSError.
        """
        self._group = group
        self._path = path
        self._directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        _lock(self._directory, path)
        self._socket = _listening(path, group)
        self._inode = os.stat(path).st_ino

    def fileno(self) -> int:
        """Readable when somebody knocks."""
        return self._socket.fileno()

    def accept(self) -> socket.socket | None:
        """The next client; None when it was gone already, is nobody of ours, or no descriptor is left."""
        try:
            client, _ = self._socket.accept()
        except OSError:
            return None
        _, user, _ = _PEER.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        if self._group is None and user != os.geteuid():  # seen from a user namespace, all others are "nobody"
            client.close()
            return None
        client.setblocking(False)
        return client

    def is_there(self) -> bool:
        """Whether anybody could still come in: the path leads here."""
        try:
            return os.stat(self._path).st_ino == self._inode
        except FileNotFoundError:
            return False
        except OSError:  # who knows
            return True

    def close(self) -> None:
        """Leave it to the child; the directory stays locked."""
        self._socket.close()

    def remove(self) -> None:
        """Take the path away, if it still leads here."""
        if self.is_there():
            _remove(self._path)


def _lock(directory: int, path: str) -> None:
    """Once more if need be: those who only look whether it is locked lock it too, for a moment."""
    for last in (False,) * _LOOKS + (True,):
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if last:
                raise FileExistsError(f"there is a holder at {path} already") from error
            time.sleep(_PAUSE)
        else:
            return


def _listening(path: str, group: int | None) -> socket.socket:
    """It appears when it listens, in place of one that was left over from a holder that was killed."""
    fresh = f"{path}.new"
    _remove(fresh)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mask = os.umask(0o177)  # for its owner alone
    try:
        door.bind(fresh)
    finally:
        os.umask(mask)
    if group is not None:
        os.chown(fresh, -1, group)
        os.chmod(fresh, 0o660)
    door.listen(_WAITING)
    door.setblocking(False)
    os.rename(fresh, path)
    return door


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
