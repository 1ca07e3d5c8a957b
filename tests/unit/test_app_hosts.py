"""What starts a host: tools that fail or hang are told of in their own words."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from moorage.adapters.qemu.command_line import Accelerator
from moorage.app.config import HostKind
from moorage.app.guests import find_accelerator
from moorage.app.places import state_of
from moorage.app.serving.host import placed
from moorage.app.serving.process import Process
from moorage.app.serving.settings import HostSettings
from moorage.app.switch_start import run_to_its_end
from moorage.domain.errors import Conflict, Unavailable
from moorage.domain.ids import HostName
from moorage.kit.alone import alone
from moorage.seams.hypervisor import GuestImage
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


async def test_where_no_guest_can_be_built_to_try_kvm_guests_run_without_it(tmp_path: Path) -> None:
    async def none(_cache: Path, _progress: Callable[[str], None]) -> GuestImage:
        raise Unavailable("Debian's packages cannot be reached")

    device = tmp_path / "kvm"
    device.touch()
    with capture_logs() as said:
        found = await find_accelerator(HostKind.QEMU, tmp_path, lambda _: None, device=device, image=none)
    assert found is Accelerator.TCG
    assert [line["reason"] for line in said] == ["Debian's packages cannot be reached"]


async def test_a_host_has_one_compute_and_one_agent(tmp_path: Path) -> None:
    state = state_of(tmp_path, HostName("host-1"))
    state.mkdir(parents=True)
    with alone(state / "agent.lock"), pytest.raises(Conflict, match=r"another agent runs on this host: .*agent\.lock"):
        async with placed(
            cast(Process, None), HostSettings(name="host-1", holder=tmp_path / "holder.sock"), tmp_path, "agent"
        ):
            pass
