"""Building moorage-guest from Debian's packages."""

import asyncio
import gzip
from pathlib import Path

import pytest

from moorage.adapters.guest_image.build import guest_image
from moorage.domain.errors import Unavailable


@pytest.mark.timeout(120)
async def test_two_that_want_it_build_it_once_and_a_third_has_it_at_once(tmp_path: Path) -> None:
    told: list[str] = []
    first, second = await asyncio.gather(*(guest_image(tmp_path, told.append) for _ in range(2)))
    assert first == second == await guest_image(tmp_path, told.append)
    steps = [words.removeprefix("building the guest image (once) … ") for words in told]
    assert sorted(step.split()[0] for step in steps) == ["downloading", "making", "unpacking", "waiting"]
    assert first.kernel is not None
    assert first.ramdisk is not None
    assert first.kernel.read_bytes()[0x202:0x206] == b"HdrS"  # a bzImage (Linux: arch/x86/boot)
    assert gzip.decompress(first.ramdisk.read_bytes()).startswith(b"070701")
    assert first.ramdisk.stat().st_size < 3_000_000
    assert {path.name.split("-")[0] for path in tmp_path.iterdir()} == {"moorage"}


@pytest.mark.timeout(120)
async def test_an_interrupted_build_leaves_nothing_that_the_next_would_trip_over(tmp_path: Path) -> None:
    unpacking = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(guest_image(tmp_path, lambda act: unpacking.set() if "unpacking" in act else None))
        await unpacking.wait()
        first.cancel()
    image = await guest_image(tmp_path)
    assert image.kernel is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["moorage-guest.lock", image.kernel.parent.name])


@pytest.mark.timeout(60)
async def test_without_packages_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "apt.conf"
    settings.write_text(
        f'Dir::State::Lists "{tmp_path}/lists"; Dir::Etc::SourceList "/dev/null"; Dir::Etc::SourceParts "/dev/null";'
    )
    (tmp_path / "lists/partial").mkdir(parents=True)
    monkeypatch.setenv("APT_CONFIG", str(settings))
    with pytest.raises(Unavailable, match="try apt-get update"):
        await guest_image(tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["moorage-guest.lock"]
