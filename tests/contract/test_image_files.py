"""What every keeper of images' data does: files, and its twin in memory."""

import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from hashlib import md5, sha512
from pathlib import Path

import pytest

from moorage.adapters.files.images import FileImages
from moorage.adapters.files.pieces import pieces_of
from moorage.adapters.memory.image_files import MemoryImages
from moorage.domain.errors import Full, NotFound, TooLarge, Unavailable
from moorage.domain.ids import ImageId
from moorage.domain.image import Written
from moorage.seams.image_files import ImageFiles

ONE, TWO = ImageId("one"), ImageId("two")
LIMIT = 8 << 20  # bytes


@pytest.fixture(params=["memory", "files"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> ImageFiles:
    return FileImages(tmp_path / "images") if request.param == "files" else MemoryImages()


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def interrupted() -> AsyncIterator[bytes]:
    yield bytes(2 << 20)
    raise ConnectionError("the client went away")


async def content(files: ImageFiles, image: ImageId) -> bytes:
    return b"".join([piece async for piece in files.read(image)])


async def test_what_is_written_is_read_and_measured(files: ImageFiles) -> None:
    parts = [b"a" * 700_000, b"", b"b" * 700_000, b"c" * 3_000_000]
    whole = b"".join(parts)
    written = await files.write(ONE, pieces(*parts), limit=LIMIT)
    assert written == Written(len(whole), md5(whole, usedforsecurity=False).hexdigest(), sha512(whole).hexdigest())
    assert await content(files, ONE) == whole
    assert max([len(piece) async for piece in files.read(ONE)]) <= 1 << 20


async def test_nothing_may_be_written(files: ImageFiles) -> None:
    assert (await files.write(ONE, pieces(), limit=LIMIT)).size == 0
    assert await content(files, ONE) == b""


async def test_what_is_not_there_is_not_found(files: ImageFiles) -> None:
    with pytest.raises(NotFound):
        await content(files, ONE)


async def test_an_interrupted_write_leaves_what_was_there(files: ImageFiles, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError):
        await files.write(ONE, interrupted(), limit=LIMIT)
    with pytest.raises(NotFound):
        await content(files, ONE)
    await files.write(ONE, pieces(b"old"), limit=LIMIT)
    with pytest.raises(ConnectionError):
        await files.write(ONE, interrupted(), limit=LIMIT)
    assert await content(files, ONE) == b"old"
    assert len(list(tmp_path.glob("images/*"))) <= 1


async def test_too_much_is_refused_and_not_kept(files: ImageFiles, tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        await files.write(ONE, pieces(b"12", b"345"), limit=4)
    with pytest.raises(NotFound):
        await content(files, ONE)
    assert list(tmp_path.glob("images/*")) == []
    assert (await files.write(ONE, pieces(b"12", b"34"), limit=4)).size == 4


async def test_deleting_may_be_repeated(files: ImageFiles) -> None:
    await files.write(ONE, pieces(b"x"), limit=LIMIT)
    for _ in range(2):
        await files.delete(ONE)
    with pytest.raises(NotFound):
        await content(files, ONE)


async def test_cleaning_keeps_what_is_known(files: ImageFiles) -> None:
    for image in (ONE, TWO):
        await files.write(image, pieces(b"x"), limit=LIMIT)
    for _ in range(2):
        await files.clean(knowing(ONE))
    assert await content(files, ONE) == b"x"
    with pytest.raises(NotFound):
        await content(files, TWO)


async def test_cleaning_removes_what_a_crash_has_left(tmp_path: Path) -> None:
    files = FileImages(tmp_path)
    (tmp_path / "one.0123.part").write_bytes(b"half")
    await files.clean(knowing())
    assert list(tmp_path.iterdir()) == []


async def test_what_is_being_written_is_told_and_stays(files: ImageFiles) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"half"
        assert await files.being_written() == {ONE}
        await files.clean(knowing())
        yield b" and half"

    await files.write(ONE, parts(), limit=LIMIT)
    assert await files.being_written() == set()
    assert await content(files, ONE) == b"half and half"


async def test_what_comes_while_it_is_cleaned_stays(files: ImageFiles) -> None:
    async def known() -> frozenset[ImageId]:
        await files.write(TWO, pieces(b"new"), limit=LIMIT)
        return frozenset()

    await files.write(ONE, pieces(b"x"), limit=LIMIT)
    await files.clean(known)
    assert await content(files, TWO) == b"new"
    with pytest.raises(NotFound):
        await content(files, ONE)


async def test_another_process_sees_who_writes(tmp_path: Path) -> None:
    ours, theirs = FileImages(tmp_path), FileImages(tmp_path)

    async def parts() -> AsyncIterator[bytes]:
        yield b"half"
        assert await theirs.being_written() == {ONE}
        await theirs.clean(knowing())

    assert (await ours.write(ONE, parts(), limit=LIMIT)).size == 4


def knowing(*images: ImageId) -> Callable[[], Awaitable[frozenset[ImageId]]]:
    async def known() -> frozenset[ImageId]:
        return frozenset(images)

    return known


async def test_a_full_disk_is_told_from_other_failures(files: ImageFiles, tmp_path: Path) -> None:
    with full_disk(files), pytest.raises(Full, match="storing image one"):
        await files.write(ONE, pieces(b"x" * 3_000_000), limit=LIMIT)
    with pytest.raises(NotFound):
        await content(files, ONE)
    assert list(tmp_path.glob("images/*")) == []


@contextmanager
def full_disk(files: ImageFiles) -> Iterator[None]:
    """No file of this process may be larger than 1 MB: a disk that is full after that."""
    if isinstance(files, MemoryImages):
        files.room = 1_000_000
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_directory_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    files = FileImages(tmp_path / "images")
    (tmp_path / "images").rmdir()
    with pytest.raises(Unavailable, match="storing image one"):
        await files.write(ONE, pieces(b"x"), limit=LIMIT)


async def test_a_file_is_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(b"k" * 1_500_000)
    assert [len(piece) async for piece in pieces_of(path)] == [1 << 20, 1_500_000 - (1 << 20)]
    with pytest.raises(Unavailable):
        _ = [piece async for piece in pieces_of(tmp_path / "absent")]
