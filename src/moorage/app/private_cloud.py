"""A cloud for one command: its state is temporary, its port any free one, and nothing of it is left behind."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from moorage.app.client import Client, logged_in
from moorage.app.cloud import Cloud
from moorage.app.clouds_yaml import ADMIN, MEMBER, account_of
from moorage.app.config import CloudSettings
from moorage.app.logs import logging_to
from moorage.app.private import leftovers, private_place
from moorage.app.results import Step

T = TypeVar("T")
Say = Callable[[str], None]
RunCloud = Callable[[CloudSettings, Say], AbstractAsyncContextManager[Cloud]]


@dataclass(frozen=True)
class Access:
    """What a flow works with: the cloud, and its two users. Devices noted here are looked for at the end."""

    cloud: Cloud
    member: Client
    admin: Client
    devices: list[str]


@asynccontextmanager
async def at_hand(cloud: Cloud) -> AsyncIterator[Access]:
    """The cloud with its users logged in."""
    member = account_of(cloud.url, cloud.credentials[MEMBER])
    admin = account_of(cloud.url, cloud.credentials[ADMIN])
    async with logged_in(member) as member_client, logged_in(admin) as admin_client:
        yield Access(cloud, member_client, admin_client, [])


async def in_private(
    run_cloud: RunCloud,
    settings: CloudSettings,
    say: Say,
    flow: Callable[[Access], Awaitable[T]],
    *,
    keep_log: Path,
    within: Path | None = None,
) -> tuple[T, Step, list[str]]:
    """What `flow` returns, the step "nothing left behind", and what was left.

    Whatever `flow` raises comes out once the cloud has closed; its log is then kept as `keep_log`.
    """
    devices: list[str] = []
    with private_place(within) as place:
        log = place / "moorage.log"
        try:
            settings = msgspec.structs.replace(settings, state_dir=place / "c", port=0)
            with logging_to(log):
                async with run_cloud(settings, say) as cloud, at_hand(cloud) as access:
                    result = await flow(replace(access, devices=devices))
        except Exception:
            with suppress(OSError):  # a full disk, say: what went wrong matters more
                keep_log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                shutil.copyfile(log, keep_log)
            raise
    left = leftovers(place, devices)
    return result, Step("nothing left behind", datetime.now(UTC), not left), left
