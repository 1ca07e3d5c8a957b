"""Whether tests can have worlds of their own here: as root, or where user namespaces and /dev/net/tun are open."""

import pytest

from moorage.app.doctor import privileges

_CHECK = privileges()

needs_world = pytest.mark.skipif(_CHECK.is_fine is not True, reason=f"makes namespaces: {_CHECK.found}; {_CHECK.cure}")
