"""The image service through its front door, on virtual time."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import md5, sha512
from typing import Any

import pytest
from tests.asgi import Answer, ask

from moorage.adapters.database.images import IMAGE, DatabaseImageStore
from moorage.adapters.database.sqlite import open_sqlite
from moorage.adapters.memory.clock import LoopClock
from moorage.adapters.memory.image_files import MemoryImages
from moorage.domain.caller import Caller
from moorage.domain.errors import NotFound, Unavailable
from moorage.domain.ids import ImageId, ProjectId, UserId
from moorage.domain.image import ImageStatus, Written
from moorage.image.bootstrap import GUEST, register_guest, register_placeholder
from moorage.image.http import make_app
from moorage.image.service import WE, ImageService
from moorage.kit.mount import Mount

pytestmark = pytest.mark.looptime

CALLERS = {
    "mine": Caller(UserId("me"), ProjectId("mine"), frozenset({"member"})),
    "theirs": Caller(UserId("them"), ProjectId("theirs"), frozenset({"member"})),
    "nova": Caller(UserId("nova"), ProjectId("service"), frozenset({"service"})),
    "admin": Caller(UserId("root"), ProjectId("admin"), frozenset({"admin"})),
}
V20 = {"Content-Type": "application/openstack-images-v2.0-json-patch"}
V21 = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
OCTETS = {"Content-Type": "application/octet-stream"}
DATA = bytes(range(256)) * 16
RAW = {"name": "disk", "disk_format": "raw", "container_format": "bare"}


class Tokens:
    """Fulfils seams.tokens.TokenVerifier: a token is a name in CALLERS."""

    async def verify(self, token: str) -> Caller:
        if token not in CALLERS:
            raise NotFound("Could not find token.")
        return CALLERS[token]


class Front:
    """The image service, and a client of it."""

    def __init__(self, files: MemoryImages | None = None, max_size: int = 1 << 20) -> None:
        self.files = files or MemoryImages()
        store = DatabaseImageStore(open_sqlite(None, IMAGE))
        self.service = ImageService(store, self.files, LoopClock(), max_size=max_size, settle=0.0)
        app = make_app(self.service, Tokens())
        self.app = Mount(app)
        self.app.add("image", app)

    async def ask(self, method: str, path: str, body: object = None, *, token: str = "mine", **more: Any) -> Answer:
        return await ask(self.app, method, f"/image/v2{path}", body, token=token, **more)

    async def make(self, *, token: str = "mine", **fields: object) -> str:
        answer = await self.ask("POST", "/images", RAW | fields, token=token)
        assert answer.status == 201, answer.body
        return str(answer.json["id"])

    async def fill(self, id: str, data: bytes = DATA, *, token: str = "mine", **more: Any) -> Answer:
        return await self.ask("PUT", f"/images/{id}/file", token=token, headers=OCTETS, parts=[data], **more)

    async def show(self, id: str, *, token: str = "mine") -> dict[str, Any]:
        answer = await self.ask("GET", f"/images/{id}", token=token)
        assert answer.status == 200
        shown: dict[str, Any] = answer.json
        return shown

    async def names(self, query: str = "", *, token: str = "mine") -> list[str]:
        answer = await self.ask("GET", f"/images{query}", token=token)
        assert answer.status == 200, answer.body
        return [image["name"] for image in answer.json["images"]]


async def test_an_image_is_made_filled_shown_fetched_and_deleted() -> None:
    cloud = Front()
    made = await cloud.ask("POST", "/images", RAW | {"tags": ["b", "a", "b"], "os_distro": "debian"})
    assert made.status == 201
    id = made.json["id"]
    assert made.headers["location"].endswith(f"/image/v2/images/{id}")
    expected: dict[str, object] = {
        "status": "queued",
        "visibility": "shared",
        "size": None,
        "virtual_size": None,
        "checksum": None,
        "os_hash_algo": None,
        "os_hash_value": None,
        "os_hidden": False,
        "protected": False,
        "min_disk": 0,
        "min_ram": 0,
        "owner": "mine",
        "tags": ["a", "b"],
        "os_distro": "debian",
        "created_at": "2026-01-01T00:00:00Z",
        "file": f"/v2/images/{id}/file",
        "self": f"/v2/images/{id}",
        "schema": "/v2/schemas/image",
    }
    assert made.json | expected == made.json
    assert (await cloud.ask("GET", f"/images/{id}/file")).status == 204
    assert (await cloud.fill(id)).status == 204
    shown = await cloud.show(id)
    assert shown["status"] == "active"
    assert shown["size"] == len(DATA)
    assert shown["checksum"] == md5(DATA, usedforsecurity=False).hexdigest()
    assert (shown["os_hash_algo"], shown["os_hash_value"]) == ("sha512", sha512(DATA).hexdigest())
    fetched = await cloud.ask("GET", f"/images/{id}/file")
    assert fetched.body == DATA
    assert fetched.headers["content-length"] == str(len(DATA))
    assert fetched.headers["content-md5"] == shown["checksum"]
    assert (await cloud.fill(id)).status == 409
    assert (await cloud.ask("DELETE", f"/images/{id}")).status == 204
    assert cloud.files.data == {}
    assert (await cloud.ask("DELETE", f"/images/{id}")).status == 404


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"disk_format": "floppy"}, 400),
        ({"container_format": "tin"}, 400),
        ({"disk_format": "aki", "container_format": "bare"}, 400),
        ({"min_ram": -1}, 400),
        ({"min_disk": "7"}, 400),
        ({"visibility": "loud"}, 400),
        ({"visibility": "public"}, 403),
        ({"name": "x" * 256}, 400),
        ({"id": "not-a-uuid"}, 400),
        ({"id": 7}, 400),
        ({"os_distro": 7}, 400),
        ({"os_glance_import": "x"}, 403),
        ({"status": "active"}, 403),
        ({"size": 7}, 403),
        ({"owner": "theirs"}, 403),
        ({"tags": "a"}, 400),
        ({f"p{n}": "x" for n in range(129)}, 400),
    ],
)
async def test_an_image_that_cannot_be_is_refused(fields: dict[str, object], status: int) -> None:
    cloud = Front()
    answer = await cloud.ask("POST", "/images", RAW | fields)
    assert answer.status == status, answer.body
    assert set(answer.json) == {"message", "code", "title"}
    assert await cloud.names() == []


@pytest.mark.parametrize("body", [b"", b"no", b"[]", b'"x"', b"null"])
async def test_a_body_that_is_no_object_is_a_400(body: bytes) -> None:
    assert (await Front().ask("POST", "/images", body)).status == 400


async def test_an_id_is_taken_once_whoever_asks() -> None:
    cloud = Front()
    id = "0a0b0c0d-0000-4000-8000-000000000000"
    assert await cloud.make(id=id) == id
    assert (await cloud.ask("POST", "/images", RAW | {"id": id}, token="theirs")).status == 409


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"),
    [
        ("GET", "", None, {}),
        ("GET", "/file", None, {}),
        ("GET", "/members", None, {}),
        ("PUT", "/file", b"x", OCTETS),
        ("PATCH", "", b"[]", V21),
        ("DELETE", "", None, {}),
        ("PUT", "/tags/x", None, {}),
        ("DELETE", "/tags/x", None, {}),
        ("POST", "/actions/deactivate", None, {}),
    ],
)
async def test_another_projects_image_is_not_there(
    method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> None:
    cloud = Front()
    id = await cloud.make()
    before = await cloud.show(id)
    assert (await cloud.ask(method, f"/images/{id}{path}", body, headers=headers, token="theirs")).status == 404
    assert (await cloud.ask(method, f"/images/unknown{path}", body, headers=headers, token="theirs")).status == 404
    assert await cloud.names(token="theirs") == []
    assert await cloud.names(f"?id=in:{id}", token="theirs") == []
    assert await cloud.show(id) == before


async def test_a_service_reads_every_image_and_changes_none() -> None:
    cloud = Front()
    id = await cloud.make(visibility="private")
    await cloud.fill(id)
    assert (await cloud.ask("GET", f"/images/{id}/file", token="nova")).body == DATA
    assert (await cloud.ask("DELETE", f"/images/{id}", token="nova")).status == 403
    assert (await cloud.ask("PUT", f"/images/{id}/tags/x", token="nova")).status == 403
    assert (await cloud.ask("PATCH", f"/images/{id}", b"[]", headers=V21, token="nova")).status == 403
    await cloud.ask("POST", f"/images/{id}/actions/deactivate", token="admin")
    assert (await cloud.ask("GET", f"/images/{id}/file", token="nova")).status == 403


async def test_a_public_image_is_seen_by_all_and_changed_by_its_owner() -> None:
    cloud = Front()
    id = await cloud.make(token="admin", visibility="public")
    assert (await cloud.fill(id, token="admin")).status == 204
    assert await cloud.names(token="theirs") == ["disk"]
    assert (await cloud.ask("GET", f"/images/{id}/file", token="theirs")).body == DATA
    for method, path, body, headers in (
        ("DELETE", "", None, {}),
        ("PATCH", "", b'[{"op":"add","path":"/x","value":"y"}]', V21),
        ("PUT", "/tags/x", None, {}),
        ("PUT", "/file", b"x", OCTETS),
    ):
        answer = await cloud.ask(method, f"/images/{id}{path}", body, headers=headers, token="theirs")
        assert answer.status == 403


async def test_a_community_image_is_listed_when_it_is_asked_for() -> None:
    cloud = Front()
    id = await cloud.make(visibility="community")
    assert await cloud.names() == ["disk"]
    assert await cloud.names(token="theirs") == []
    assert await cloud.names("?visibility=community", token="theirs") == ["disk"]
    assert await cloud.names("?visibility=all", token="theirs") == ["disk"]
    assert (await cloud.show(id, token="theirs"))["id"] == id


async def test_both_dialects_of_patch_do_the_same() -> None:
    cloud = Front()
    id = await cloud.make(colour="red")
    steps: list[dict[str, object]] = [
        {"op": "replace", "path": "/name", "value": "new"},
        {"op": "add", "path": "/shape", "value": "round"},
        {"op": "remove", "path": "/colour"},
    ]
    answer = await cloud.ask("PATCH", f"/images/{id}", json.dumps(steps).encode(), headers=V21)
    assert answer.status == 200
    assert (answer.json["name"], answer.json["shape"]) == ("new", "round")
    assert "colour" not in answer.json
    old = [{"replace": "/name", "value": "disk"}, {"remove": "/shape"}, {"add": "/colour", "value": "red"}]
    answer = await cloud.ask("PATCH", f"/images/{id}", json.dumps(old).encode(), headers=V20)
    assert answer.status == 200
    assert (answer.json["name"], answer.json["colour"]) == ("disk", "red")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"no", V21, 400),
        (b"{}", V21, 400),
        (b"[7]", V21, 400),
        (b'[{"op":"replace","path":"/name","value":7}]', V21, 400),
        (b'[{"op":"replace","path":"/status","value":"active"}]', V21, 403),
        (b'[{"op":"remove","path":"/name"}]', V21, 403),
        (b'[{"op":"remove","path":"/absent"}]', V21, 409),
        (b'[{"op":"replace","path":"/visibility","value":"public"}]', V21, 403),
        (b"[]", {"Content-Type": "application/json"}, 415),
    ],
)
async def test_a_patch_that_cannot_be_changes_nothing(body: bytes, headers: dict[str, str], status: int) -> None:
    cloud = Front()
    id = await cloud.make()
    before = await cloud.show(id)
    assert (await cloud.ask("PATCH", f"/images/{id}", body, headers=headers)).status == status
    assert await cloud.show(id) == before


async def test_a_protected_image_is_deleted_after_its_protection_is_taken_off() -> None:
    cloud = Front()
    id = await cloud.make(protected=True)
    assert (await cloud.ask("DELETE", f"/images/{id}")).status == 403
    await cloud.ask("PATCH", f"/images/{id}", b'[{"op":"replace","path":"/protected","value":false}]', headers=V21)
    assert (await cloud.ask("DELETE", f"/images/{id}")).status == 204


async def test_a_blank_id_is_no_image() -> None:
    cloud = Front()
    for method in ("GET", "DELETE"):
        assert (await cloud.ask(method, "/images/")).status == 404
    assert (await cloud.ask("GET", "/images")).status == 200


async def test_tags_come_and_go() -> None:
    cloud = Front()
    id = await cloud.make()
    for _ in range(2):
        assert (await cloud.ask("PUT", f"/images/{id}/tags/blue")).status == 204
    assert (await cloud.show(id))["tags"] == ["blue"]
    assert await cloud.names("?tag=blue") == ["disk"]
    assert await cloud.names("?tag=blue&tag=green") == []
    assert (await cloud.ask("DELETE", f"/images/{id}/tags/blue")).status == 204
    assert (await cloud.ask("DELETE", f"/images/{id}/tags/blue")).status == 404


async def test_an_image_is_offered_to_a_project_which_takes_it_into_its_lists_or_not() -> None:
    cloud = Front()
    id = await cloud.make(visibility="shared")
    await cloud.fill(id)
    path, theirs = f"/images/{id}/members", "theirs"
    offered = await cloud.ask("POST", path, {"member": theirs})
    assert (offered.status, offered.json["status"], offered.json["member_id"]) == (200, "pending", theirs)
    assert (await cloud.ask("POST", path, {"member": theirs})).status == 409
    assert (await cloud.ask("GET", f"/images/{id}", token=theirs)).status == 200
    assert await cloud.names(token=theirs) == []
    for query in ("?visibility=shared&member_status=pending", "?member_status=all"):
        assert await cloud.names(query, token=theirs) == ["disk"]
    assert (await cloud.ask("PUT", f"{path}/{theirs}", {"status": "accepted"})).status == 403
    assert (await cloud.ask("PUT", f"{path}/{theirs}", {"status": "perhaps"}, token=theirs)).status == 400
    for status, listed in (("accepted", ["disk"]), ("rejected", [])):
        changed = await cloud.ask("PUT", f"{path}/{theirs}", {"status": status}, token=theirs)
        assert (changed.status, changed.json["status"]) == (200, status)
        assert await cloud.names(token=theirs) == listed
        assert (await cloud.ask("GET", f"/images/{id}/file", token=theirs)).body == DATA
    [seen] = (await cloud.ask("GET", path)).json["members"]
    assert (await cloud.ask("GET", f"{path}/{theirs}", token=theirs)).json == seen
    for method in ("PATCH", "DELETE"):
        headers = V21 if method == "PATCH" else {}
        body = b"[]" if method == "PATCH" else None
        assert (await cloud.ask(method, f"/images/{id}", body, headers=headers, token=theirs)).status == 403
    assert (await cloud.ask("DELETE", f"{path}/{theirs}", token=theirs)).status == 403
    assert (await cloud.ask("DELETE", f"{path}/{theirs}")).status == 204
    assert (await cloud.ask("DELETE", f"{path}/{theirs}")).status == 404
    assert (await cloud.ask("GET", f"/images/{id}", token=theirs)).status == 404


async def test_an_admin_gives_an_image_to_another_project() -> None:
    cloud = Front()
    id = await cloud.make(visibility="private")
    steps = [{"op": "replace", "path": "/owner", "value": "theirs"}, {"op": "add", "path": "/name", "value": "new"}]
    body = json.dumps(steps).encode()
    assert (await cloud.ask("PATCH", f"/images/{id}", body, headers=V21)).status == 403
    given = await cloud.ask("PATCH", f"/images/{id}", body, headers=V21, token="admin")
    assert (given.json["owner"], given.json["name"]) == ("theirs", "new")
    assert await cloud.names() == []
    wrong = json.dumps([steps[0] | {"value": 1}]).encode()
    assert (await cloud.ask("PATCH", f"/images/{id}", wrong, headers=V21, token="admin")).status == 400


async def test_an_image_that_is_not_shared_has_no_members() -> None:
    cloud = Front()
    id = await cloud.make(visibility="private")
    assert (await cloud.ask("POST", f"/images/{id}/members", {"member": "theirs"})).status == 403
    assert (await cloud.ask("PUT", f"/images/{id}/members/theirs", {"status": "accepted"})).status == 404
    assert (await cloud.ask("GET", "/images?member_status=x")).status == 400


async def test_a_deactivated_image_is_not_given_out() -> None:
    cloud = Front()
    id = await cloud.make()
    assert (await cloud.ask("POST", f"/images/{id}/actions/deactivate", token="admin")).status == 403  # no data yet
    await cloud.fill(id)
    for token in ("mine", "admin"):  # its owner, and whoever asks twice
        assert (await cloud.ask("POST", f"/images/{id}/actions/deactivate", token=token)).status == 204
    assert (await cloud.show(id))["status"] == "deactivated"
    assert (await cloud.ask("GET", f"/images/{id}/file")).status == 403
    assert (await cloud.ask("POST", f"/images/{id}/actions/reactivate", token="admin")).status == 204
    assert (await cloud.ask("GET", f"/images/{id}/file")).body == DATA


async def test_lists_go_page_by_page() -> None:
    cloud = Front()
    for name in "abcde":
        await cloud.make(name=name)
        await asyncio.sleep(1)
    assert await cloud.names() == ["e", "d", "c", "b", "a"]
    assert await cloud.names("?limit=0") == []
    path, seen = "/images?limit=2&sort=name:asc", []
    while path:
        page = (await cloud.ask("GET", path)).json
        seen.append([image["name"] for image in page["images"]])
        assert page["first"] == "/v2/images?limit=2&sort=name%3Aasc"
        path = page.get("next", "").removeprefix("/v2")
    assert seen == [["a", "b"], ["c", "d"], ["e"]]
    assert await cloud.names("?name=in:a,c&sort_key=name&sort_dir=asc") == ["a", "c"]
    bad = ("limit=x", "limit=-1", "marker=no", "sort=colour:asc", "visibility=loud", "size_min=x", "created_at=x")
    for query in bad:
        assert (await cloud.ask("GET", f"/images?{query}")).status == 400


async def test_hidden_images_are_listed_when_they_are_asked_for() -> None:
    cloud = Front()
    await cloud.make(os_hidden=True)
    assert await cloud.names() == []
    assert await cloud.names("?os_hidden=true") == ["disk"]


async def test_an_upload_that_is_cut_short_leaves_the_image_as_it_was() -> None:
    cloud = Front()
    id = await cloud.make()
    before = await cloud.show(id)
    assert (await cloud.fill(id, is_cut=True)).status == 400
    short = await cloud.ask("PUT", f"/images/{id}/file", parts=[b"abc"], headers=OCTETS | {"Content-Length": "9"})
    assert short.status == 400
    assert cloud.files.data == {}
    assert await cloud.show(id) == before
    assert (await cloud.fill(id)).status == 204
    assert (await cloud.show(id))["status"] == "active"


async def test_a_full_disk_is_said_so_and_leaves_the_image_as_it_was() -> None:
    cloud = Front(files=MemoryImages(room=1000))
    id = await cloud.make()
    before = await cloud.show(id)
    answer = await cloud.fill(id)
    assert answer.status == 413  # a 503 would be repeated, by clients that have read their file to its end
    assert answer.json["message"].startswith("Image storage media is full")
    assert cloud.files.data == {}
    assert await cloud.show(id) == before
    assert (await cloud.fill(id, b"small")).status == 204


async def test_an_image_that_is_too_large_is_refused_before_and_while_it_comes() -> None:
    cloud = Front(max_size=1000)
    id = await cloud.make()
    said = await cloud.ask("PUT", f"/images/{id}/file", DATA, headers=OCTETS)
    assert said.status == 413
    assert (await cloud.fill(id)).status == 413
    assert (await cloud.show(id))["status"] == "queued"


async def test_an_upload_that_stands_still_is_given_up() -> None:
    cloud = Front()
    id = await cloud.make()
    coming = [{"type": "http.request", "body": DATA, "more_body": True}]

    async def receive() -> dict[str, Any]:
        while not coming:
            await asyncio.sleep(1)
        return coming.pop()

    answers: list[Any] = []

    async def send(event: Any) -> None:
        answers.append(event)

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "PUT",
        "scheme": "http",
        "path": f"/image/v2/images/{id}/file",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"x-auth-token", b"mine"), (b"content-type", b"application/octet-stream"), (b"host", b"cloud")],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }
    await cloud.app(scope, receive, send)
    assert asyncio.get_running_loop().time() == pytest.approx(60, abs=1)
    assert answers[0]["status"] == 400
    assert (await cloud.show(id))["status"] == "queued"


async def test_an_image_deleted_while_it_is_uploaded_leaves_nothing() -> None:
    cloud = Front()
    id = await cloud.make()

    async def parts() -> AsyncIterator[bytes]:
        yield DATA
        await cloud.service.delete(WE, id)

    with pytest.raises(NotFound):
        await cloud.service.upload(WE, id, parts())
    assert cloud.files.data == {}


async def test_two_uploads_at_once_do_not_mix() -> None:
    cloud = Front()
    id = await cloud.make()

    async def parts() -> AsyncIterator[bytes]:
        assert (await cloud.fill(id, b"other")).status == 409
        yield DATA

    await cloud.service.upload(WE, id, parts())
    assert cloud.files.data == {ImageId(id): DATA}


async def test_what_a_crash_has_cut_is_taken_back_at_the_next_start() -> None:
    cloud = Front()
    full, cut = await cloud.make(), await cloud.make()
    await cloud.fill(full)

    async def parts() -> AsyncIterator[bytes]:
        yield DATA
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await cloud.service.upload(WE, cut, parts())
    assert (await cloud.show(cut))["status"] == "saving"
    cloud.files.data[ImageId("nobody's")] = DATA
    for _ in range(2):
        await cloud.service.recover()
        assert (await cloud.show(cut))["status"] == "queued"
        assert set(cloud.files.data) == {full}
    assert (await cloud.fill(cut)).status == 204


async def test_a_second_process_that_starts_leaves_an_upload_under_way_alone() -> None:
    cloud = Front()
    id = await cloud.make()
    second = replace(cloud.service)

    async def parts() -> AsyncIterator[bytes]:
        yield DATA
        await second.recover()
        yield DATA

    await cloud.service.upload(WE, id, parts())
    assert cloud.files.data == {ImageId(id): DATA + DATA}
    assert (await cloud.show(id))["status"] == "active"


async def test_an_image_without_formats_cannot_be_filled() -> None:
    cloud = Front()
    id = (await cloud.ask("POST", "/images", {"name": "x"})).json["id"]
    assert (await cloud.fill(id)).status == 400
    wrong = await cloud.ask("PUT", f"/images/{id}/file", b"{}", headers={"Content-Type": "application/json"})
    assert wrong.status == 415


async def test_without_a_token_only_the_versions_are_told() -> None:
    cloud = Front()
    for path, status in (("/image/", 300), ("/image", 300), ("/image/versions", 200)):
        answer = await ask(cloud.app, "GET", path)
        assert answer.status == status
        versions = answer.json["versions"]
        assert [version["status"] for version in versions].count("CURRENT") == 1
        assert {version["links"][0]["href"] for version in versions} == {"http://cloud.example:8780/image/v2/"}
    for token in ("", "unknown"):
        answer = await cloud.ask("GET", "/images", token=token)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Keystone uri="http://cloud.example:8780/identity"'


async def test_schemas_have_their_names() -> None:
    cloud = Front()
    for name in ("image", "images", "member", "members"):
        assert (await cloud.ask("GET", f"/schemas/{name}")).json["name"] == name
    assert (await cloud.ask("GET", "/schemas/other")).status == 404


async def kernel() -> AsyncIterator[bytes]:
    yield b"kernel"


async def newer_kernel() -> AsyncIterator[bytes]:
    yield b"newer kernel"


async def ramdisk() -> AsyncIterator[bytes]:
    yield b"ramdisk"


async def test_the_guest_image_points_to_its_kernel_and_is_made_once() -> None:
    cloud = Front()
    owner = ProjectId("admin")
    image = await register_guest(cloud.service, owner, kernel=kernel, ramdisk=ramdisk, command_line="quiet")
    again = await register_guest(cloud.service, owner, kernel=kernel, ramdisk=ramdisk, command_line="quiet")
    assert again == image
    shown = await cloud.show(image.id, token="theirs")
    assert (shown["name"], shown["status"], shown["visibility"], shown["size"]) == (GUEST, "active", "public", 0)
    assert shown["os_command_line"] == "quiet"
    assert (await cloud.ask("GET", f"/images/{shown['kernel_id']}/file", token="theirs")).body == b"kernel"
    assert (await cloud.ask("GET", f"/images/{shown['ramdisk_id']}/file", token="theirs")).body == b"ramdisk"
    assert len(await cloud.names("?visibility=public")) == 3
    newer = await register_guest(cloud.service, owner, kernel=newer_kernel, ramdisk=ramdisk, command_line="quiet")
    assert newer.id == image.id
    assert newer.properties["kernel_id"] != image.properties["kernel_id"]
    assert newer.properties["ramdisk_id"] == image.properties["ramdisk_id"]


class Broken(MemoryImages):
    """A disk that cannot be written."""

    async def write(self, image: ImageId, parts: AsyncIterator[bytes], *, limit: int) -> Written:
        await anext(parts)
        raise Unavailable("storing image: Input/output error")


async def test_a_failed_upload_is_no_503_which_clients_would_repeat_without_its_data() -> None:
    cloud = Front(files=Broken())
    id = await cloud.make()
    before = await cloud.show(id)
    answer = await cloud.ask("PUT", f"/images/{id}/file", headers=OCTETS, parts=[DATA, DATA])
    assert (answer.status, answer.json["message"]) == (500, "storing image: Input/output error")
    assert await cloud.show(id) == before


class FailsOnce(MemoryImages):
    """A disk that is full the first time."""

    has_failed = False

    async def write(self, image: ImageId, parts: AsyncIterator[bytes], *, limit: int) -> Written:
        if not self.has_failed:
            self.has_failed = True
            raise OSError("gone")
        return await super().write(image, parts, limit=limit)


async def test_a_guest_image_that_was_cut_short_is_finished_at_the_next_start() -> None:
    cloud = Front(files=FailsOnce())
    owner = ProjectId("admin")
    with pytest.raises(OSError, match="gone"):
        await register_placeholder(cloud.service, owner)
    image = await register_placeholder(cloud.service, owner)
    assert image.status is ImageStatus.ACTIVE
    assert image.size == 512


@pytest.mark.parametrize("name", ["kernel_id", "ramdisk_id"])
@pytest.mark.parametrize("value", ["/etc/shadow", "../..", "", "urn:uuid:5e000000-0000-4000-8000-000000000001"])
async def test_a_kernel_and_a_ramdisk_are_named_by_uuids_only(name: str, value: str) -> None:
    cloud = Front()
    assert (await cloud.ask("POST", "/images", RAW | {name: value})).status == 400
    id = await cloud.make()
    steps = [{"op": "add", "path": f"/{name}", "value": value}]
    assert (await cloud.ask("PATCH", f"/images/{id}", steps, headers=V21)).status == 400
    assert name not in await cloud.show(id)
    steps = [{"op": "add", "path": f"/{name}", "value": id}]
    assert (await cloud.ask("PATCH", f"/images/{id}", steps, headers=V21)).json[name] == id
    steps = [{"op": "replace", "path": f"/{name}", "value": value}]
    assert (await cloud.ask("PATCH", f"/images/{id}", steps, headers=V21)).status == 400
    assert (
        await cloud.ask("PATCH", f"/images/{id}", [{"op": "remove", "path": f"/{name}"}], headers=V21)
    ).status == 200
