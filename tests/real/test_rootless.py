"""Without root: an ordinary user's guests on real Open vSwitch and real QEMU; and what is said where that is closed."""

import pytest

NO_ACCOUNT, NOBODY = 54321, 65534

pytestmark = pytest.mark.timeout(120)  # the first QEMU guest of a machine waits for its image to be built
