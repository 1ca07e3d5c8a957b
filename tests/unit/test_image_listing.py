"""Which images a list shows: pure rules."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from moorage.domain.errors import Conflict, Invalid
from moorage.domain.ids import ImageId, ProjectId
from moorage.domain.image import (
    NEXT,
    Image,
    ImageEvent,
    ImageStatus,
    Viewer,
    Visibility,
    Written,
    moved,
    upload_begun,
    upload_failed,
    uploaded,
)
from moorage.image.listing import ids_of, page, wanted

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ME = Viewer(ProjectId("mine"))


def image(name: str, days: int, **fields: Any) -> Image:
    at = NOW + timedelta(days=days)
    return replace(Image(ImageId(name), name, ProjectId("mine"), at, at), **fields)


IMAGES = [
    image("a", 0, size=10, disk_format="raw", tags=("x", "y"), properties={"os_distro": "debian"}),
    image("b", 1, size=20, disk_format="qcow2", tags=("x",), visibility=Visibility.PUBLIC, is_protected=True),
    image("c,d", 2, status=ImageStatus.ACTIVE, min_ram=7, owner=ProjectId("theirs"), visibility=Visibility.COMMUNITY),
    image("h", 3, is_hidden=True),
]


def names(query: str) -> list[str]:
    found, _ = page(IMAGES, wanted(parse_qs(query, keep_blank_values=True)), ME)
    return [str(each.name) for each in found]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["b", "a"]),
        ("os_hidden=true", ["h"]),
        ("visibility=public", ["b"]),
        ("visibility=shared", ["a"]),
        ("visibility=community", ["c,d"]),
        ("visibility=all", ["c,d", "b", "a"]),
        ("name=a", ["a"]),
        ("name=", []),
        ("name=in:a,b", ["b", "a"]),
        ('visibility=all&name=in:a,"c,d"', ["c,d", "a"]),
        ("id=in:a", ["a"]),
        ("status=active&visibility=all", ["c,d"]),
        ("status=unheard-of", []),
        ("owner=theirs&visibility=all", ["c,d"]),
        ("disk_format=in:raw,vdi", ["a"]),
        ("size_min=10&size_max=15", ["a"]),
        ("size=10", ["a"]),
        ("size_min=15", ["b"]),
        ("min_ram=7&visibility=all", ["c,d"]),
        ("tag=x", ["b", "a"]),
        ("tag=x&tag=y", ["a"]),
        ("protected=true", ["b"]),
        ("os_distro=debian", ["a"]),
        ("colour=red", []),
        ("created_at=gt:2026-01-01T12:00:00Z", ["b"]),
        ("created_at=gte:2026-01-01T12:00:00", ["b", "a"]),
        ("created_at=lt:2026-01-02T00:00:00Z", ["a"]),
        ("created_at=lte:2026-01-01T12:00:00Z", ["a"]),
        ("updated_at=2026-01-01T12:00:00Z", ["a"]),
        ("created_at=eq:2026-01-01T12:00:00Z", ["a"]),
        ("created_at=neq:2026-01-01T12:00:00Z", ["b"]),
        ("sort=name:asc", ["a", "b"]),
        ("sort=disk_format:asc,name:desc", ["b", "a"]),
        ("sort_key=size&sort_dir=asc", ["a", "b"]),
        ("sort_key=status&sort_key=name&sort_dir=asc", ["a", "b"]),
        ("sort_key=status&sort_key=name&sort_dir=asc&sort_dir=desc", ["b", "a"]),
        ("limit=1", ["b"]),
        ("limit=1&marker=b", ["a"]),
        ("limit=0", []),
        ("limit=999999", ["b", "a"]),
        ("member_status=accepted", ["b", "a"]),
    ],
)
def test_a_query_finds_what_it_says(query: str, expected: list[str]) -> None:
    assert names(query) == expected


@pytest.mark.parametrize(
    "query",
    [
        "limit=x",
        "limit=-1",
        "limit=",
        "marker=unknown",
        "sort=colour",
        "sort=name:up",
        "sort=name:asc&sort_key=name",
        "sort_key=a",
        "sort_key=name&sort_key=id&sort_key=size&sort_dir=asc&sort_dir=asc",
        "visibility=loud",
        "os_hidden=maybe",
        "protected=maybe",
        "size_min=x",
        "created_at=soon",
        "created_at=gt:soon",
        'name=in:a,"b',
    ],
)
def test_a_query_that_means_nothing_is_invalid(query: str) -> None:
    with pytest.raises(Invalid):
        names(query)


def test_a_page_says_whether_more_come() -> None:
    assert page(IMAGES, wanted({"limit": ["1"]}), ME)[1]
    assert not page(IMAGES, wanted({"limit": ["2"]}), ME)[1]


def test_ids_narrow_what_is_read() -> None:
    assert ids_of(wanted({"id": ["in:a,b"]})) == ("a", "b")
    assert ids_of(wanted({"id": ["a"]})) == ("a",)
    assert ids_of(wanted({"name": ["a"]})) is None


@pytest.mark.parametrize("status", ImageStatus)
@pytest.mark.parametrize("event", ImageEvent)
def test_what_the_table_leaves_out_is_a_conflict(status: ImageStatus, event: ImageEvent) -> None:
    one = image("a", 0, status=status)
    if (status, event) in NEXT:
        assert moved(one, event, NOW).status is NEXT[status, event]
    else:
        with pytest.raises(Conflict):
            moved(one, event, NOW)


def test_an_upload_ends_as_it_began() -> None:
    queued = image("a", 0)
    saving = upload_begun(queued, "one", NOW)
    done: Callable[[str], Image] = lambda upload: uploaded(saving, upload, Written(3, "m", "s"), NOW)  # noqa: E731
    assert upload_failed(saving, "one", NOW) == queued
    assert upload_failed(saving, "another", NOW) == saving
    assert upload_failed(done("one"), "one", NOW) == done("one")
    assert (done("one").status, done("one").size, done("one").checksum) == (ImageStatus.ACTIVE, 3, "m")
    with pytest.raises(Conflict):
        done("another")
    with pytest.raises(Conflict):
        upload_begun(saving, "another", NOW)
