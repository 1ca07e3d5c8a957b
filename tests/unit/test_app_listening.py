"""An address is taken at once, and written so that it can be used."""

import pytest

from moorage.app.listening import host_port, listening
from moorage.domain.errors import Conflict, Invalid


def test_two_that_start_at_once_do_not_share_a_port() -> None:
    """Neither serves yet: the second is refused all the same."""
    with listening("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(Conflict, match=f"port {port} on 127.0.0.1 is in use"), listening("127.0.0.1", port):
            raise AssertionError("two listen")
    with listening("127.0.0.1", port):
        pass


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "no such name.", "a" * 100])
def test_what_nobody_can_listen_on_is_told(address: str) -> None:
    with pytest.raises(Invalid, match="nothing can listen on"), listening(address, 8780):
        raise AssertionError("it listens")


def test_ipv6_addresses_are_in_brackets() -> None:
    assert host_port("::1", 8799) == "[::1]:8799"
    assert host_port("127.0.0.1", 8799) == "127.0.0.1:8799"
