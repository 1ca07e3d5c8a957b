"""Which microversion of Compute v2.1 a request speaks: 2.1 to 2.96, always written as its minor number."""

import re

from moorage.wire.errors import HttpFault

FIRST = 1
LATEST = 96
HEADER = "OpenStack-API-Version"
OLD_HEADER = "X-OpenStack-Nova-API-Version"

_FORM = re.compile(r"^([1-9]\d*)\.([1-9]\d*|0)$")


def negotiated(header: str | None, old_header: str | None) -> int:
    """The minor number that both sides speak. Raises HttpFault: 400 for a bad form, 406 outside our range."""
    wanted = old_header.strip() if old_header else ""
    for part in (header or "").split(","):
        service, _, version = part.strip().partition(" ")
        if service.lower() == "compute":
            wanted = version.strip()
    if not wanted:
        return FIRST
    if wanted == "latest":
        return LATEST
    found = _FORM.match(wanted)
    if found is None:
        raise HttpFault(
            400, f"API Version String '{wanted}' is of invalid format. It must be of format 'MajorNum.MinorNum'."
        )
    major, minor = int(found[1]), int(found[2])
    if major != 2 or not FIRST <= minor <= LATEST:
        raise HttpFault(
            406,
            f"Version {wanted} is not supported by the API. Minimum is 2.{FIRST} and maximum is 2.{LATEST}.",
        )
    return minor
