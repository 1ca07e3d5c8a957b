"""What every store of images does (seams/image_store.py)."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from tests.contract.conftest import Opened
from tests.contract.filling import FULL_IMAGE

from moorage.adapters.database.images import IMAGE, DatabaseImageStore
from moorage.domain.errors import Conflict, Forbidden, NotFound
from moorage.domain.ids import ImageId, ProjectId
from moorage.domain.image import Image, ImageStatus, MemberStatus, Viewer, Visibility
from moorage.seams.image_store import ImageStore

MINE, THEIRS = Viewer(ProjectId("mine")), Viewer(ProjectId("theirs"))
NOBODY, ADMIN = Viewer(None), Viewer(None, is_admin=True)
SERVICE = Viewer(ProjectId("service"), is_service=True)
FULL = replace(FULL_IMAGE, owner=ProjectId("mine"), visibility=Visibility.PRIVATE)


@pytest.fixture
async def store(opened: Opened) -> AsyncIterator[ImageStore]:
    async with opened(IMAGE) as database:
        yield DatabaseImageStore(database)


def allow(_: Image) -> None:
    """Nothing against it."""


async def test_an_image_comes_back_as_it_was(store: ImageStore) -> None:
    await store.add(FULL)
    assert await store.get(FULL.id, MINE) == FULL
    assert await store.find(MINE) == [FULL]


async def test_an_id_is_taken_once(store: ImageStore) -> None:
    await store.add(FULL)
    with pytest.raises(Conflict):
        await store.add(replace(FULL, owner=ProjectId("theirs")))


async def test_members_see_an_image_while_it_is_shared(store: ImageStore) -> None:
    await store.add(FULL)
    friend = Viewer(ProjectId("friend"))
    for visibility, is_seen in ((Visibility.PRIVATE, False), (Visibility.SHARED, True)):
        await store.update(FULL.id, MINE, lambda image, to=visibility: replace(image, visibility=to))  # type: ignore[misc]
        assert bool(await store.find(friend)) is is_seen
        if not is_seen:
            with pytest.raises(NotFound):
                await store.get(FULL.id, friend)
    shared = await store.get(FULL.id, friend)
    assert shared.members == FULL.members
    another = replace(FULL.members[0], project=ProjectId("theirs"), status=MemberStatus.PENDING)
    rejected = replace(FULL.members[0], status=MemberStatus.REJECTED)
    for members in ((rejected, another), (another,), ()):
        after = replace(shared, members=members)
        assert await store.update(FULL.id, MINE, lambda _, to=after: to) == after  # type: ignore[misc]
        assert await store.find(MINE) == [after]
        assert bool(await store.find(friend)) is (rejected in members)
    await store.update(FULL.id, MINE, lambda image: replace(image, members=(another,)))
    await store.delete(FULL.id, MINE, allow)
    await store.add(replace(FULL, members=()))
    assert (await store.get(FULL.id, MINE)).members == ()


@pytest.mark.parametrize("visibility", Visibility)
@pytest.mark.parametrize("viewer", [MINE, THEIRS, NOBODY, ADMIN, SERVICE])
async def test_the_query_sees_what_the_rule_sees(store: ImageStore, visibility: Visibility, viewer: Viewer) -> None:
    image = replace(FULL, visibility=visibility)
    await store.add(image)
    is_visible = image.is_visible_to(viewer)
    assert is_visible == (viewer in (MINE, ADMIN, SERVICE) or visibility in (Visibility.PUBLIC, Visibility.COMMUNITY))
    assert bool(await store.find(viewer)) == is_visible
    assert bool(await store.find(viewer, ids=[image.id])) == is_visible
    if not is_visible:
        for call in (
            store.get(image.id, viewer),
            store.update(image.id, viewer, lambda same: same),
            store.delete(image.id, viewer, allow),
        ):
            with pytest.raises(NotFound):
                await call
    assert await store.get(image.id, MINE) == image


async def test_images_are_found_by_what_is_asked(store: ImageStore) -> None:
    public = replace(FULL, id=ImageId("i2"), visibility=Visibility.PUBLIC, status=ImageStatus.QUEUED)
    await store.add(FULL)
    await store.add(public)
    assert await store.find(MINE, ids=["i2", "i3"]) == [public]
    assert await store.find(MINE, ids=[]) == []
    assert await store.find(MINE, visibility=Visibility.PUBLIC) == [public]
    assert await store.find(MINE, status=ImageStatus.ACTIVE) == [FULL]


async def test_a_change_is_made_whole_or_not_at_all(store: ImageStore) -> None:
    await store.add(FULL)
    assert (await store.update(FULL.id, MINE, lambda image: replace(image, name=None, tags=()))).tags == ()
    assert await store.get(FULL.id, MINE) == replace(FULL, name=None, tags=())

    def refuse(image: Image) -> Image:
        raise Forbidden("no")

    with pytest.raises(Forbidden):
        await store.update(FULL.id, MINE, refuse)
    with pytest.raises(NotFound):
        await store.update(ImageId("other"), MINE, refuse)


async def test_a_deletion_may_be_refused(store: ImageStore) -> None:
    await store.add(FULL)

    def refuse(_: Image) -> None:
        raise Forbidden("no")

    with pytest.raises(Forbidden):
        await store.delete(FULL.id, MINE, refuse)
    assert await store.delete(FULL.id, MINE, allow) == FULL
    with pytest.raises(NotFound):
        await store.delete(FULL.id, MINE, allow)
