"""OpenStack's clock formats; clients parse each strictly."""

from datetime import UTC, datetime


def zulu(at: datetime) -> str:
    """2026-01-02T03:04:05Z (servers, networks, images)."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def bare(at: datetime) -> str:
    """2026-01-02T03:04:05.000000 (launched_at, actions, services, keypairs)."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def exact(at: datetime) -> str:
    """2026-01-02T03:04:05.000000Z (tokens, our own timelines)."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def spaced(at: datetime) -> str:
    """2026-01-02 03:04:05 (network agents)."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
