"""PATCH of an image in both of its dialects: pure rules."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from moorage.domain.errors import Conflict, Forbidden, Invalid, MoorageError
from moorage.domain.ids import ImageId, ProjectId
from moorage.domain.image import Image, ImageStatus, Visibility
from moorage.image.patch import V20, V21, Change, patched, read_patch

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IMAGE = Image(
    ImageId("i1"), "disk", ProjectId("p"), NOW, NOW, disk_format="raw", container_format="bare", properties={"x": "y"}
)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            {"replace": "/name", "value": "n"},
            {"op": "replace", "path": "/name", "value": "n"},
            Change("replace", "name", "n"),
        ),
        (
            {"add": "/a~1b~0", "value": "v"},
            {"op": "add", "path": "/a~1b~0", "value": "v"},
            Change("add", "a/b~", "v"),
        ),
        ({"remove": "/x"}, {"op": "remove", "path": "/x"}, Change("remove", "x")),
        ({"add": "/name", "value": None}, {"op": "add", "path": "/name", "value": None}, Change("add", "name")),
    ],
)
def test_both_dialects_say_the_same(old: dict[str, Any], new: dict[str, Any], expected: Change) -> None:
    assert read_patch(msgspec.json.encode([old]), V20) == [expected]
    assert read_patch(msgspec.json.encode([new]), V21) == [expected]


@pytest.mark.parametrize(
    ("step", "dialect"),
    [
        ({"op": "move", "path": "/x", "value": "y"}, V21),
        ({"op": "replace", "path": "/x"}, V21),
        ({"op": "replace", "path": "x", "value": "y"}, V21),
        ({"op": "replace", "path": "/", "value": "y"}, V21),
        ({"op": "replace", "path": "/x/y", "value": "y"}, V21),
        ({"op": "replace", "path": 7, "value": "y"}, V21),
        ({"op": "replace", "path": "/x", "value": "y", "why": "so"}, V21),
        ({"replace": "/x", "value": "y"}, V21),
        ({"op": "replace", "path": "/x", "value": "y"}, V20),
        ({"replace": "/x", "add": "/x", "value": "y"}, V20),
        ({"replace": "/x"}, V20),
        ({}, V20),
    ],
)
def test_a_step_that_means_nothing_is_invalid(step: dict[str, Any], dialect: str) -> None:
    with pytest.raises(Invalid):
        read_patch(msgspec.json.encode([step]), dialect)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Change("replace", "name", "n"), replace(IMAGE, name="n")),
        (Change("replace", "name", None), replace(IMAGE, name=None)),
        (Change("add", "protected", True), replace(IMAGE, is_protected=True)),
        (Change("replace", "os_hidden", True), replace(IMAGE, is_hidden=True)),
        (Change("replace", "tags", ["b", "a", "b"]), replace(IMAGE, tags=("b", "a"))),
        (Change("replace", "visibility", "private"), replace(IMAGE, visibility=Visibility.PRIVATE)),
        (Change("replace", "disk_format", "qcow2"), replace(IMAGE, disk_format="qcow2")),
        (Change("add", "x", "z"), replace(IMAGE, properties={"x": "z"})),
        (Change("replace", "x", "z"), replace(IMAGE, properties={"x": "z"})),
        (Change("remove", "x"), replace(IMAGE, properties={})),
    ],
)
def test_a_step_changes_one_thing(step: Change, expected: Image) -> None:
    assert patched(IMAGE, [step]) == expected


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (Change("replace", "absent", "z"), Conflict),
        (Change("remove", "absent"), Conflict),
        (Change("remove", "name"), Forbidden),
        (Change("remove", "id"), Forbidden),
        (Change("replace", "id", "z"), Forbidden),
        (Change("add", "owner", "z"), Forbidden),
        (Change("add", "os_glance_x", "z"), Forbidden),
        (Change("remove", "os_glance_x"), Forbidden),
        (Change("replace", "name", 7), Invalid),
        (Change("replace", "min_ram", -1), Invalid),
        (Change("replace", "protected", "yes"), Invalid),
        (Change("replace", "disk_format", "floppy"), Invalid),
        (Change("replace", "disk_format", "aki"), Invalid),
        (Change("replace", "visibility", "loud"), Invalid),
        (Change("add", "z", 7), Invalid),
        (Change("replace", "tags", ["x" * 256]), Invalid),
    ],
)
def test_a_step_that_may_not_be_is_refused(step: Change, error: type[MoorageError]) -> None:
    with pytest.raises(MoorageError) as raised:
        patched(IMAGE, [Change("replace", "name", "first"), step])
    assert type(raised.value) is error


def test_formats_stay_once_there_is_data() -> None:
    active = replace(IMAGE, status=ImageStatus.ACTIVE)
    with pytest.raises(Forbidden):
        patched(active, [Change("replace", "disk_format", "qcow2")])
