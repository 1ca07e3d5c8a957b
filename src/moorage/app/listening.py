"""The address that the APIs listen on: taken for good or not at all, and how it is written."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from moorage.domain.errors import Conflict, Invalid

BACKLOG = 2048  # connections that wait to be accepted


@contextmanager
def listening(address: str, port: int, *, reuse_port: bool = False) -> Iterator[socket.socket]:
    """A socket that listens (port 0: on any free one). Raises Conflict when somebody does, Invalid when nobody can.

    With `reuse_port` others who say so too may listen there as well; the kernel shares out what comes.
    """
    where = host_port(address, port)
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            listener.bind((address, port))
            listener.listen(BACKLOG)  # at once: with SO_REUSEADDR two may bind, and only one may listen
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                another = host_port(address, port + 1 if port < 65535 else 8780)
                raise Conflict(
                    f"port {port} on {address} is in use by another program: end it (`ss -ltnp sport = :{port}` shows "
                    f"which), or choose another with --listen {another}"
                ) from error
            raise Invalid(f"nothing can listen on {where}: {error.strerror}") from error
        except (OverflowError, UnicodeError) as error:
            raise Invalid(f"nothing can listen on {where}") from error
        yield listener


def require_free(address: str, port: int) -> None:
    """Raises Conflict when somebody listens there, Invalid when nobody can."""
    with listening(address, port):
        return


def host_port(address: str, port: int) -> str:
    """Both as one word, in a URL too: 127.0.0.1:8780, [::1]:8780."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
