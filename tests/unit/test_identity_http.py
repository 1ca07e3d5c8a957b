"""Identity through its front door, on virtual time."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from tests.asgi import Answer, ask

from moorage.adapters.database.identity import DatabaseIdentityStore
from moorage.adapters.database.identity_tables import IDENTITY
from moorage.adapters.database.sqlite import open_sqlite
from moorage.adapters.files.private_key import make_private_key
from moorage.adapters.memory.clock import LoopClock
from moorage.adapters.memory.passwords import MemoryPasswords
from moorage.domain.errors import NotFound
from moorage.domain.identity import User
from moorage.identity.bootstrap import bootstrap
from moorage.identity.http.door import make_app
from moorage.identity.revocations import Revocations
from moorage.identity.service import IdentityService
from moorage.identity.tokens import Signer
from moorage.identity.verifier import Verifier
from moorage.kit.mount import Asgi, Mount

pytestmark = pytest.mark.looptime

FIRST = {"admin": "a%!=@&", "demo": "demo's", "nova": "n", "neutron": "u"}
V3 = "/identity/v3"


@dataclass(frozen=True)
class Front:
    """Identity, and a client of it."""

    service: IdentityService
    app: Mount

    async def ask(self, method: str, path: str, body: object = None, *, token: str = "", **more: Any) -> Answer:
        return await ask(self.app, method, V3 + path, body, token=token, **more)

    async def log_in(self, name: str, password: str | None = None, scope: object = None, query: str = "") -> Answer:
        user = {"name": name, "domain": {"id": "default"}, "password": password or FIRST[name]}
        auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": user}}}
        if scope is not None:
            auth["scope"] = scope
        return await self.ask("POST", f"/auth/tokens{query}", {"auth": auth})

    async def token(self, name: str, scope: object = None) -> str:
        answer = await self.log_in(name, scope=scope)
        assert answer.status == 201, answer.body
        return answer.headers["x-subject-token"]

    async def rescope(self, token: str, scope: object) -> Answer:
        auth = {"identity": {"methods": ["token"], "token": {"id": token}}, "scope": scope}
        return await self.ask("POST", "/auth/tokens", {"auth": auth})

    async def make(self, kind: str, body: object, *, token: str) -> dict[str, Any]:
        answer = await self.ask("POST", f"/{kind}s", {kind: body}, token=token)
        assert answer.status == 201, answer.body
        made: dict[str, Any] = answer.json[kind]
        return made

    async def role(self, name: str, *, token: str) -> str:
        [role] = (await self.ask("GET", f"/roles?name={name}", token=token)).json["roles"]
        return str(role["id"])


async def front(private_key: bytes | None = None) -> Front:
    clock = LoopClock()
    store = DatabaseIdentityStore(open_sqlite(None, IDENTITY))
    revocations = Revocations(store.revocations, clock)
    signer = Signer(private_key or make_private_key())
    verifier = Verifier(signer, revocations, clock)
    service = IdentityService(store, MemoryPasswords(), signer, revocations, verifier, clock)
    await bootstrap(service, FIRST)
    app = make_app(service)
    mount = Mount(app)
    mount.add("identity", app)
    return Front(service, mount)


PROJECT_DEMO = {"project": {"name": "demo", "domain": {"name": "Default"}}}


async def test_a_project_token_says_all_that_clients_read() -> None:
    cloud = await front()
    answer = await cloud.log_in("demo", scope=PROJECT_DEMO)
    assert answer.status == 201
    token = answer.json["token"]
    assert token["methods"] == ["password"]
    assert token["user"]["name"] == "demo"
    assert token["user"]["domain"] == {"id": "default", "name": "Default"}
    assert token["user"]["password_expires_at"] is None
    assert token["project"]["name"] == "demo"
    assert token["is_domain"] is False
    assert [role["name"] for role in token["roles"]] == ["member", "reader"]
    assert token["issued_at"] == "2026-01-01T00:00:00.000000Z"
    assert token["expires_at"] == "2026-01-01T01:00:00.000000Z"
    urls = {
        (service["type"], endpoint["interface"]): endpoint["url"]
        for service in token["catalog"]
        for endpoint in service["endpoints"]
    }
    assert urls["identity", "public"] == "http://cloud.example:8780/identity"
    assert urls["compute", "internal"] == "http://cloud.example:8780/compute/v2.1"
    assert urls["network", "admin"] == "http://cloud.example:8780/network"
    assert urls["image", "public"] == "http://cloud.example:8780/image"
    assert len(urls) == 12


async def test_without_a_scope_a_token_is_for_the_default_project() -> None:
    cloud = await front()
    assert (await cloud.log_in("demo")).json["token"]["project"]["name"] == "demo"


async def test_an_unscoped_token_has_no_roles_and_no_catalog() -> None:
    cloud = await front()
    token = (await cloud.log_in("demo", scope="unscoped")).json["token"]
    assert not {"project", "roles", "catalog", "is_domain", "system", "domain"} & set(token)


async def test_nocatalog_leaves_the_catalog_out() -> None:
    cloud = await front()
    assert "catalog" not in (await cloud.log_in("demo", query="?nocatalog")).json["token"]


async def test_a_token_for_the_system_or_a_domain_needs_a_role_there() -> None:
    cloud = await front()
    assert (await cloud.log_in("admin", scope={"system": {"all": True}})).json["token"]["system"] == {"all": True}
    assert (await cloud.log_in("demo", scope={"system": {"all": True}})).status == 401
    assert (await cloud.log_in("admin", scope={"domain": {"id": "default"}})).status == 401
    admin = await cloud.token("admin")
    me = (await cloud.log_in("admin")).json["token"]["user"]["id"]
    role = await cloud.role("admin", token=admin)
    assert (await cloud.ask("PUT", f"/domains/default/users/{me}/roles/{role}", token=admin)).status == 204
    answer = await cloud.log_in("admin", scope={"domain": {"name": "Default"}})
    assert answer.json["token"]["domain"] == {"id": "default", "name": "Default"}


async def test_whatever_is_wrong_with_a_login_it_is_the_same_401() -> None:
    cloud = await front()
    admin = await cloud.token("admin")
    await cloud.make("user", {"name": "off", "password": "x", "enabled": False}, token=admin)
    answers = [
        await cloud.log_in("demo", "wrong"),
        await cloud.log_in("nobody", "wrong"),
        await cloud.log_in("off", "x"),
        await cloud.log_in("demo", scope={"project": {"id": "no-such-project"}}),
        await cloud.log_in("demo", scope={"project": {"name": "admin", "domain": {"id": "default"}}}),
        await cloud.log_in("demo", scope={"domain": {"name": "nowhere"}}),
        await cloud.rescope("no.such.token", "unscoped"),
    ]
    assert {answer.status for answer in answers} == {401}
    assert len({answer.body for answer in answers}) == 1
    assert answers[0].json["error"]["message"] == "The request you have made requires authentication."
    assert answers[0].headers["www-authenticate"].startswith("Keystone uri=")


async def test_a_rescoped_token_ends_when_the_first_one_ends() -> None:
    cloud = await front()
    first = await cloud.log_in("demo", scope="unscoped")
    await asyncio.sleep(600)
    second = await cloud.rescope(first.headers["x-subject-token"], PROJECT_DEMO)
    token = second.json["token"]
    assert token["expires_at"] == first.json["token"]["expires_at"]
    assert token["issued_at"] > first.json["token"]["issued_at"]
    assert token["methods"] == ["token", "password"]
    assert token["audit_ids"][1:] == first.json["token"]["audit_ids"]


async def test_an_expired_token_is_refused_and_only_looked_at_when_that_is_asked() -> None:
    cloud = await front()
    old = await cloud.token("demo")
    await asyncio.sleep(3601)
    assert (await cloud.ask("GET", "/auth/projects", token=old)).status == 401
    assert (await cloud.rescope(old, "unscoped")).status == 401
    nova = await cloud.token("nova")
    about = {"headers": {"X-Subject-Token": old}}
    assert (await cloud.ask("GET", "/auth/tokens", token=nova, **about)).status == 404
    forgiven = await cloud.ask("GET", "/auth/tokens?allow_expired=1", token=nova, **about)
    assert forgiven.status == 200
    assert forgiven.headers["x-subject-token"] == old


async def test_a_token_taken_back_counts_no_more_but_others_do() -> None:
    cloud = await front()
    gone, stays = await cloud.token("demo"), await cloud.token("demo")
    about = {"headers": {"X-Subject-Token": gone}}
    assert (await cloud.ask("HEAD", "/auth/tokens", token=stays, **about)).status == 200
    deleted = await cloud.ask("DELETE", "/auth/tokens", token=gone, **about)
    assert (deleted.status, deleted.body) == (204, b"")
    assert (await cloud.ask("GET", "/auth/projects", token=gone)).status == 401
    assert (await cloud.ask("GET", "/auth/tokens", token=stays, **about)).status == 404
    assert (await cloud.ask("HEAD", "/auth/tokens", token=stays, **about)).status == 404
    assert (await cloud.ask("GET", "/auth/projects", token=stays)).status == 200


async def test_a_revocation_is_known_elsewhere_within_two_seconds() -> None:
    cloud = await front()
    token = await cloud.token("demo")
    far = Revocations(cloud.service.store.revocations, cloud.service.clock)
    elsewhere = Verifier(cloud.service.signer, far, cloud.service.clock)
    async with asyncio.TaskGroup() as group:
        following = group.create_task(far.follow())
        await asyncio.sleep(0.5)
        assert (await elsewhere.verify(token)).user_name == "demo"
        await cloud.service.take_back(token)
        await asyncio.sleep(2)
        with pytest.raises(NotFound):
            await elsewhere.verify(token)
        following.cancel()


async def test_another_clouds_token_and_one_that_was_altered_are_nobodys() -> None:
    cloud = await front()
    theirs = await (await front()).token("admin")
    head, claims, signature = (await cloud.token("demo")).split(".")
    for token in ("", "nonsense", theirs, f"{head}.{claims}.{signature[::-1]}", f"{head}.{claims}.", "x" * 20_000):
        assert (await cloud.ask("GET", "/users", token=token)).status == 401


async def test_only_services_and_admins_look_at_the_tokens_of_others() -> None:
    cloud = await front()
    admin, demo, nova = [await cloud.token(name) for name in ("admin", "demo", "nova")]
    about = {"headers": {"X-Subject-Token": admin}}
    assert (await cloud.ask("GET", "/auth/tokens", token=nova, **about)).json["token"]["user"]["name"] == "admin"
    assert (await cloud.ask("GET", "/auth/tokens", token=demo, **about)).status == 403
    assert (await cloud.ask("DELETE", "/auth/tokens", token=demo, **about)).status == 403


@pytest.mark.parametrize(
    "ending", ["user deleted", "user off", "new password", "project deleted", "project off", "grant withdrawn"]
)
async def test_what_a_token_rests_on_ends_it(ending: str) -> None:
    cloud = await front()
    admin = await cloud.token("admin")
    project = (await cloud.make("project", {"name": "p"}, token=admin))["id"]
    user = (await cloud.make("user", {"name": "u", "password": "x"}, token=admin))["id"]
    role = await cloud.role("member", token=admin)
    grant = f"/projects/{project}/users/{user}/roles/{role}"
    for _ in range(2):
        assert (await cloud.ask("PUT", grant, token=admin)).status == 204
    scope = {"project": {"id": project}}
    token = (await cloud.log_in("u", "x", scope)).headers["x-subject-token"]
    assert (await cloud.ask("GET", "/auth/projects", token=token)).status == 200
    act: dict[str, tuple[str, str, object]] = {
        "user deleted": ("DELETE", f"/users/{user}", None),
        "user off": ("PATCH", f"/users/{user}", {"user": {"enabled": False}}),
        "new password": ("PATCH", f"/users/{user}", {"user": {"password": "y"}}),
        "project deleted": ("DELETE", f"/projects/{project}", None),
        "project off": ("PATCH", f"/projects/{project}", {"project": {"enabled": False}}),
        "grant withdrawn": ("DELETE", grant, None),
    }
    method, path, body = act[ending]
    assert (await cloud.ask(method, path, body, token=admin)).status in (200, 204)
    assert (await cloud.ask("GET", "/auth/projects", token=token)).status == 401
    await asyncio.sleep(1)
    assert (await cloud.log_in("u", "x", scope)).status == 401


async def test_a_second_start_changes_nothing() -> None:
    cloud = await front()
    before = await cloud.service.store.find(User)
    await bootstrap(cloud.service, dict.fromkeys(FIRST, "another"))
    assert await cloud.service.store.find(User) == before
    assert (await cloud.log_in("admin")).status == 201


async def test_a_service_gets_its_first_token_without_a_password() -> None:
    cloud = await front()
    caller = await cloud.service.verifier.verify(await cloud.service.issue_for("nova", "service"))
    assert caller.is_service
    assert caller.project_name == "service"


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"[]",
        b"\xff\xfe",
        b"[" * 50_000,
        {},
        {"auth": {}},
        {"auth": {"identity": {"methods": []}}},
        {"auth": {"identity": {"methods": ["password"]}}},
        {"auth": {"identity": {"methods": ["token"], "token": {"id": 1}}}},
        {"auth": {"identity": {"methods": ["token"], "token": {"id": "x"}}, "colour": "red"}},
        {"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "demo", "password": "x"}}}}},
        {"auth": {"identity": {"methods": ["token"], "token": {"id": "x"}}, "scope": {"project": {"name": "demo"}}}},
        {"auth": {"identity": {"methods": ["token"], "token": {"id": "x"}}, "scope": {}}},
    ],
)
async def test_a_login_that_cannot_be_read_is_a_400(body: object) -> None:
    cloud = await front()
    answer = await cloud.ask("POST", "/auth/tokens", body)
    assert answer.status == 400
    assert answer.json["error"]["title"] == "Bad Request"


async def test_a_body_too_large_is_not_read() -> None:
    cloud = await front()
    assert (await cloud.ask("POST", "/auth/tokens", b" " * 200_000)).status == 413
    endless = await cloud.ask("POST", "/auth/tokens", parts=[b" " * 60_000] * 4)
    assert endless.status == 413


async def test_versions_are_open_and_say_where_they_are() -> None:
    cloud = await front()
    several = await ask(cloud.app, "GET", "/identity/")
    assert several.status == 300
    [version] = several.json["versions"]["values"]
    for path in ("/identity/v3", "/identity/v3/"):
        one = await ask(cloud.app, "GET", path)
        assert (one.status, one.json) == (200, {"version": version})
    assert version["links"] == [{"rel": "self", "href": "http://cloud.example:8780/identity/v3/"}]
    assert set(version) == {"id", "status", "updated", "links", "media-types"}


async def test_admins_make_change_and_delete_what_there_is() -> None:
    cloud = await front()
    admin = await cloud.token("admin")
    domain = await cloud.make("domain", {"name": "d"}, token=admin)
    project = await cloud.make("project", {"name": "p", "domain_id": domain["id"]}, token=admin)
    user = await cloud.make("user", {"name": "u", "password": "x", "domain_id": domain["id"]}, token=admin)
    role = await cloud.make("role", {"name": "r"}, token=admin)
    assert project["parent_id"] == project["domain_id"] == domain["id"]
    assert len(project["id"]) == 32
    assert not [key for key in user if "password" in key and key != "password_expires_at"]
    changed = await cloud.ask("PATCH", f"/projects/{project['id']}", {"project": {"name": "q"}}, token=admin)
    assert changed.json["project"] == project | {"name": "q"}
    found = await cloud.ask("GET", f"/projects?name=q&domain_id={domain['id']}&enabled=true", token=admin)
    assert [each["id"] for each in found.json["projects"]] == [project["id"]]
    assert found.json["links"]["next"] is None
    assert (await cloud.ask("GET", "/projects?enabled=false", token=admin)).json["projects"] == []
    for kind, word in ((domain, "domain"), (project, "project"), (user, "user"), (role, "role")):
        assert (await cloud.ask("GET", f"/{word}s/{kind['id']}", token=admin)).json[word]["links"] == kind["links"]
    assert (await cloud.ask("DELETE", f"/domains/{domain['id']}", token=admin)).status == 403
    await cloud.ask("PATCH", f"/domains/{domain['id']}", {"domain": {"enabled": False}}, token=admin)
    assert (await cloud.ask("DELETE", f"/domains/{domain['id']}", token=admin)).status == 204
    assert (await cloud.ask("GET", f"/projects/{project['id']}", token=admin)).status == 404
    assert (await cloud.ask("GET", f"/users/{user['id']}", token=admin)).status == 404
    assert (await cloud.ask("DELETE", f"/roles/{role['id']}", token=admin)).status == 204


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/projects", {"project": {"name": ""}}, 400),
        ("POST", "/projects", {"project": {"name": "x" * 65}}, 400),
        ("POST", "/projects", {"project": {"name": 7}}, 400),
        ("POST", "/projects", {"project": {"name": "x", "colour": "red"}}, 400),
        ("POST", "/projects", {"project": {"name": "x"}, "colour": "red"}, 400),
        ("POST", "/projects", {"project": {"name": "x", "enabled": "yes"}}, 400),
        ("POST", "/projects", {"project": {"name": "x", "domain_id": "nowhere"}}, 404),
        ("POST", "/projects", {"project": {"name": "demo"}}, 409),
        ("POST", "/projects", b"{", 400),
        ("POST", "/projects", b"null", 400),
        ("POST", "/users", {"user": {"name": "x" * 256}}, 400),
        ("POST", "/users", {"user": {"name": "x", "domain_id": "nowhere"}}, 404),
        ("POST", "/users", {"user": {"name": "demo"}}, 409),
        ("POST", "/roles", {"role": {"name": "member"}}, 409),
        ("POST", "/domains", {"domain": {"name": "Default"}}, 409),
        ("GET", "/projects/no-such", None, 404),
        ("GET", "/users/no-such", None, 404),
        ("PATCH", "/users/no-such", {"user": {"name": "x"}}, 404),
        ("DELETE", "/roles/no-such", None, 404),
        ("PUT", "/projects/no-such/users/no-such/roles/no-such", None, 404),
        ("HEAD", "/projects/no-such/users/no-such/roles/no-such", None, 404),
        ("DELETE", "/projects/no-such/users/no-such/roles/no-such", None, 404),
        ("GET", "/nowhere", None, 404),
        ("PUT", "/projects", {}, 405),
    ],
)
async def test_what_cannot_be_done_is_said_so(method: str, path: str, body: object, status: int) -> None:
    cloud = await front()
    answer = await cloud.ask(method, path, body, token=await cloud.token("admin"))
    assert answer.status == status, answer.body
    if method != "HEAD":
        assert answer.json["error"]["code"] == status


async def test_members_see_themselves_and_nothing_else() -> None:
    cloud = await front()
    demo = await cloud.token("demo")
    said = (await cloud.log_in("demo")).json["token"]
    user, project = said["user"]["id"], said["project"]["id"]
    for path in (f"/users/{user}", f"/users/{user}/projects", f"/projects/{project}", "/auth/projects"):
        assert (await cloud.ask("GET", path, token=demo)).status == 200
    other = (await cloud.log_in("admin")).json["token"]
    for path in (
        "/users",
        "/projects",
        "/roles",
        "/domains",
        "/role_assignments",
        f"/users/{other['user']['id']}",
        f"/projects/{other['project']['id']}",
        f"/users/{other['user']['id']}/projects",
    ):
        assert (await cloud.ask("GET", path, token=demo)).status == 403
    for path in ("/users", "/projects", "/roles"):
        assert (await cloud.ask("POST", path, {path[1:-1]: {"name": "x"}}, token=demo)).status == 403
        assert (await cloud.ask("GET", path)).status == 401


async def test_users_change_their_own_password_when_they_know_it() -> None:
    cloud = await front()
    answer = await cloud.log_in("demo")
    path, demo = f"/users/{answer.json['token']['user']['id']}/password", answer.headers["x-subject-token"]
    wrong = {"user": {"original_password": "wrong", "password": "new"}}
    right = {"user": {"original_password": FIRST["demo"], "password": "new"}}
    assert (await cloud.ask("POST", path, wrong, token=demo)).status == 401
    assert (await cloud.ask("POST", path, wrong, token=await cloud.token("admin"))).status == 401
    assert (await cloud.ask("POST", path, right, token=demo)).status == 204
    assert (await cloud.ask("GET", "/auth/projects", token=demo)).status == 401
    assert (await cloud.log_in("demo")).status == 401
    assert (await cloud.log_in("demo", "new")).status == 201


async def test_whoever_knows_a_users_password_may_change_it() -> None:
    cloud = await front()
    user = (await cloud.log_in("demo")).json["token"]["user"]["id"]
    change = {"user": {"original_password": FIRST["demo"], "password": "new"}}
    answer = await cloud.ask("POST", f"/users/{user}/password", change, token=await cloud.token("admin"))
    assert answer.status == 204
    assert (await cloud.log_in("demo", "new")).status == 201


async def made(cloud: Front, path: str, body: dict[str, Any]) -> Any:
    """The id of what the admin has made there."""
    answer = await cloud.ask("POST", path, body, token=await cloud.token("admin"))
    assert answer.status == 201, answer.body
    return next(iter(answer.json.values()))["id"]


async def test_a_users_project_id_is_kept_and_shown() -> None:
    cloud = await front()
    admin = await cloud.token("admin")
    user = await made(cloud, "/users", {"user": {"name": "old", "project_id": "p1"}})
    assert (await cloud.ask("GET", f"/users/{user}", token=admin)).json["user"]["project_id"] == "p1"
    change = {"id": user, "project_id": "p2"}
    changed = await cloud.ask("PATCH", f"/users/{user}", {"user": change}, token=admin)
    assert changed.json["user"]["project_id"] == "p2"
    assert (await cloud.ask("PATCH", f"/users/{user}", {"user": {"id": "other"}}, token=admin)).status == 400


async def test_projects_have_tags() -> None:
    cloud = await front()
    admin = await cloud.token("admin")
    project = await made(cloud, "/projects", {"project": {"name": "tagged", "tags": ["a"]}})
    path = f"/projects/{project}/tags"

    async def tags() -> Any:
        return (await cloud.ask("GET", path, token=admin)).json["tags"]

    for _ in range(2):
        assert (await cloud.ask("PUT", f"{path}/b", token=admin)).status == 201
        assert await tags() == ["a", "b"]
    assert (await cloud.ask("HEAD", f"{path}/b", token=admin)).status == 204
    assert (await cloud.ask("DELETE", f"{path}/b", token=admin)).status == 204
    assert (await cloud.ask("DELETE", f"{path}/b", token=admin)).status == 404
    assert (await cloud.ask("HEAD", f"{path}/b", token=admin)).status == 404
    assert (await cloud.ask("PUT", path, {"tags": ["x", "y"]}, token=admin)).json["tags"] == ["x", "y"]
    assert (await cloud.ask("PUT", path, {"tags": [str(number) for number in range(81)]}, token=admin)).status == 400
    assert (await cloud.ask("PUT", f"{path}/b", token=await cloud.token("demo"))).status == 403
    assert (await cloud.ask("DELETE", path, token=admin)).status == 204
    assert await tags() == []


async def test_groups_are_made_changed_listed_and_deleted() -> None:
    cloud = await front()
    admin = await cloud.token("admin")
    group = await made(cloud, "/groups", {"group": {"name": "staff", "description": "all", "project_id": "p"}})
    assert (await cloud.ask("POST", "/groups", {"group": {"name": "staff"}}, token=admin)).status == 409
    shown = (await cloud.ask("GET", f"/groups/{group}", token=admin)).json["group"]
    assert (shown["name"], shown["description"], shown["domain_id"]) == ("staff", "all", "default")
    changed = await cloud.ask("PATCH", f"/groups/{group}", {"group": {"name": "all"}}, token=admin)
    assert changed.json["group"] == shown | {"name": "all"}
    for query, expected in (("", [group]), ("?name=all", [group]), ("?name=staff", [])):
        found = (await cloud.ask("GET", f"/groups{query}", token=admin)).json["groups"]
        assert [each["id"] for each in found] == expected
    assert (await cloud.ask("GET", "/groups", token=await cloud.token("demo"))).status == 403
    assert (await cloud.ask("DELETE", f"/groups/{group}", token=admin)).status == 204
    assert (await cloud.ask("GET", f"/groups/{group}", token=admin)).status == 404


async def with_group(cloud: Front) -> tuple[str, str, str, str]:
    """A user who may use a project by their group alone: the group, the user, the project and the role."""
    admin = await cloud.token("admin")
    group = await made(cloud, "/groups", {"group": {"name": "staff"}})
    user = await made(cloud, "/users", {"user": {"name": "bob", "password": "secret"}})
    project = await made(cloud, "/projects", {"project": {"name": "shared"}})
    role = await made(cloud, "/roles", {"role": {"name": "cook"}})
    for path in (f"/groups/{group}/users/{user}", f"/projects/{project}/groups/{group}/roles/{role}"):
        for method in ("PUT", "PUT", "HEAD"):
            assert (await cloud.ask(method, path, token=admin)).status == 204
    return group, user, project, role


async def in_project(cloud: Front, user: str, project: str) -> Answer:
    identity = {"methods": ["password"], "password": {"user": {"id": user, "password": "secret"}}}
    return await cloud.ask(
        "POST", "/auth/tokens", {"auth": {"identity": identity, "scope": {"project": {"id": project}}}}
    )


async def test_members_have_the_roles_of_their_group() -> None:
    cloud = await front()
    admin = await cloud.token("admin")
    group, user, project, role = await with_group(cloud)
    answer = await in_project(cloud, user, project)
    assert [each["name"] for each in answer.json["token"]["roles"]] == ["cook"]
    mine = answer.headers["x-subject-token"]
    assert [each["id"] for each in (await cloud.ask("GET", "/auth/projects", token=mine)).json["projects"]] == [project]
    assert [each["id"] for each in (await cloud.ask("GET", f"/users/{user}/groups", token=mine)).json["groups"]] == [
        group
    ]
    members = (await cloud.ask("GET", f"/groups/{group}/users", token=admin)).json["users"]
    assert [each["id"] for each in members] == [user]
    held = (await cloud.ask("GET", f"/projects/{project}/groups/{group}/roles", token=admin)).json["roles"]
    assert [each["id"] for each in held] == [role]


@pytest.mark.parametrize(
    "path",
    [
        "/groups/{group}",
        "/groups/{group}/users/{user}",
        "/projects/{project}/groups/{group}/roles/{role}",
    ],
)
async def test_a_token_that_rests_on_a_group_ends_with_what_it_rests_on(path: str) -> None:
    cloud = await front()
    group, user, project, role = await with_group(cloud)
    mine = (await in_project(cloud, user, project)).headers["x-subject-token"]
    other = (await cloud.log_in("demo")).headers["x-subject-token"]
    ended = path.format(group=group, user=user, project=project, role=role)
    assert (await cloud.ask("DELETE", ended, token=await cloud.token("admin"))).status == 204
    assert (await cloud.ask("GET", "/auth/projects", token=mine)).status == 401
    assert (await cloud.ask("GET", "/auth/projects", token=other)).status == 200
    assert (await in_project(cloud, user, project)).status == 401
    assert (await cloud.ask("DELETE", ended, token=await cloud.token("admin"))).status == 404


async def test_assignments_of_groups_are_told_as_theirs_or_as_their_members() -> None:
    cloud = await front()
    admin = await cloud.token("admin")
    group, user, project, role = await with_group(cloud)
    asked = f"/role_assignments?scope.project.id={project}&include_names=1"
    [assignment] = (await cloud.ask("GET", asked, token=admin)).json["role_assignments"]
    assert (assignment["group"]["name"], assignment["role"]["id"]) == ("staff", role)
    [effective] = (await cloud.ask("GET", f"{asked}&effective&user.id={user}", token=admin)).json["role_assignments"]
    assert effective["user"]["name"] == "bob"
    assert effective["links"]["membership"].endswith(f"/groups/{group}/users/{user}")
    assert (await cloud.ask("GET", f"{asked}&user.id={user}", token=admin)).json["role_assignments"] == []


async def test_role_assignments_can_be_listed_with_names() -> None:
    cloud = await front()
    admin = await cloud.token("admin")
    demo = (await cloud.log_in("demo")).json["token"]
    path = f"/role_assignments?user.id={demo['user']['id']}&scope.project.id={demo['project']['id']}&include_names=True"
    [found] = (await cloud.ask("GET", path, token=admin)).json["role_assignments"]
    assert found["role"]["name"] == "member"
    assert found["user"]["name"] == "demo"
    assert found["scope"]["project"]["name"] == "demo"
    assert found["links"]["assignment"].endswith(f"/roles/{found['role']['id']}")


async def test_services_and_endpoints_are_those_of_the_catalog() -> None:
    cloud = await front()
    admin = await cloud.token("admin")
    [compute] = (await cloud.ask("GET", "/services?type=compute", token=admin)).json["services"]
    path = f"/endpoints?service_id={compute['id']}&interface=public"
    [endpoint] = (await cloud.ask("GET", path, token=admin)).json["endpoints"]
    assert endpoint["url"] == "http://cloud.example:8780/compute/v2.1"
    assert (await cloud.ask("GET", f"/endpoints/{endpoint['id']}", token=admin)).json["endpoint"] == endpoint
    [region] = (await cloud.ask("GET", "/regions", token=admin)).json["regions"]
    assert region["id"] == endpoint["region_id"]
    assert (await cloud.ask("GET", "/groups", token=admin)).json["groups"] == []
    assert (await cloud.ask("GET", "/groups/staff", token=admin)).status == 404
    assert (await cloud.ask("GET", "/services", token=await cloud.token("demo"))).status == 403


async def test_every_answer_has_a_request_id() -> None:
    cloud = await front()
    for answer in (await cloud.log_in("demo"), await cloud.log_in("demo", "wrong"), await cloud.ask("GET", "/users")):
        assert answer.headers["x-openstack-request-id"].startswith("req-")
        assert answer.headers["content-type"] == "application/json"


def _mounted(app: Asgi) -> Mount:
    mount = Mount(app)
    mount.add("identity", app)
    return mount
