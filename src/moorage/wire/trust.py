"""What identity publishes for those who verify tokens elsewhere, as JSON."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from moorage.domain.identity import Revocation


class RevocationSpec(msgspec.Struct, frozen=True):
    subject: str
    issued_before: datetime
    until: datetime


class TrustSpec(msgspec.Struct, frozen=True):
    public_key: str  # PEM
    revocations: tuple[RevocationSpec, ...]


def to_wire(public_key: bytes, revocations: Sequence[Revocation]) -> TrustSpec:
    """The same for the same revocations, whatever their order."""
    told = sorted(
        (RevocationSpec(known.subject, known.issued_before, known.until) for known in revocations),
        key=lambda spec: spec.subject,
    )
    return TrustSpec(public_key.decode(), tuple(told))


def from_wire(spec: TrustSpec) -> tuple[bytes, Sequence[Revocation]]:
    told = [Revocation(known.subject, known.issued_before, known.until) for known in spec.revocations]
    return spec.public_key.encode(), told
