"""What starts a host: tools that fail or hang are told of in their own words."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from moorage.adapters.qemu.command_line import Accelerator
from moorage.app.config import HostKind
from moorage.app.guests import find_accelerator
from moorage.app.switch_start import run_to_its_end
from moorage.domain.errors import Unavailable
from moorage.seams.world import World

TOOL = ["ovsdb-tool", "create", "conf.db"]


class OneTool:
    """The part of World that runs a tool, which says its words and ends with `code`; None: it hangs."""

    def __init__(self, code: int | None, words: str = "") -> None:
        self._code = code
        self._words = words
        self.alive: set[str] = set()

    def world(self) -> World:
        return cast(World, self)

    async def start(
        self, name: str, argv: Sequence[str], *, log: Path, environment: Mapping[str, str], **_: Any
    ) -> int:
        assert log.is_absolute()
        log.write_text(self._words)
        self.alive.add(name)
        return 7

    async def wait(self, name: str) -> int:
        if self._code is None:
            await asyncio.get_running_loop().create_future()
        self.alive.discard(name)
        assert self._code is not None
        return self._code

    async def stop(self, name: str, *, patience: float = 2.0) -> None:
        self.alive.discard(name)


async def test_a_tool_that_succeeds_is_no_news(tmp_path: Path) -> None:
    await run_to_its_end(OneTool(0, "a warning").world(), TOOL, tmp_path / "log", environment={})


async def test_a_tool_that_fails_is_heard(tmp_path: Path) -> None:
    words = "ovsdb-tool: I/O error: conf.db: open failed\n  (No space left on device)\n"
    said = r"ovsdb-tool ended with 1: .*I/O error: conf\.db: open failed \(No space left on device\)"
    with pytest.raises(Unavailable, match=said):
        await run_to_its_end(OneTool(1, words).world(), TOOL, tmp_path / "log", environment={})


async def test_a_tool_that_hangs_is_ended(tmp_path: Path) -> None:
    world = OneTool(None, "still locking")
    with pytest.raises(Unavailable, match=r"ovsdb-tool took more than 0\.05 s: still locking"):
        await run_to_its_end(world.world(), TOOL, tmp_path / "log", environment={}, within=0.05)
    assert not world.alive


@pytest.mark.parametrize("kind", [HostKind.SIMULATED, HostKind.NETNS])
async def test_kvm_is_tried_for_qemu_only(tmp_path: Path, kind: HostKind) -> None:
    told: list[str] = []
    assert await find_accelerator(kind, tmp_path / "cache", told.append) is Accelerator.TCG
    assert (told, list(tmp_path.iterdir())) == ([], [])
