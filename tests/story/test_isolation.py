"""A member of one project neither sees nor touches what another project has: every route, every method.

`isolation.txt` knows each of them: what a stranger is answered who names the owner's things, and what the owner is
answered who asks for the same thereafter (or the stranger's 404 might be anybody's). A route that is not in it fails.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.asgi import Answer, ask
from tests.story.clouds import Story, story, until
from tests.story.routes import Route, routes_of

PUBLIC_KEY = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)).decode()
TABLE = Path(__file__).with_name("isolation.txt")
JSON_PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
OCTETS = {"Content-Type": "application/octet-stream"}
SHARED = frozenset({"1", "host-1"})  # things in `Owned.things` that are everybody's


@dataclass(frozen=True)
class Owned:
    """What the owner has: by the variable of a path, with the part before it where that alone says which."""

    things: Mapping[str, str]
    bodies: Mapping[str, Any]  # by the path's end and the method

    def path(self, route: Route) -> str:
        parts: list[str] = []
        before = ""
        for part in route.path.removeprefix("/").split("/"):
            word = part.strip("{}")
            is_variable = part.startswith("{")
            parts.append(self.things.get(f"{before}/{word}") or self.things[word] if is_variable else part)
            before = part
        return "/" + "/".join(parts)

    def body(self, method: str, route: Route) -> Any:
        if method not in ("POST", "PUT", "PATCH"):
            return None
        fitting = [end for end in self.bodies if f"{method} {route.path}".endswith(end.split(" ")[1])]
        fitting = [end for end in fitting if end.startswith(f"{method} ")]
        return self.bodies[max(fitting, key=len)] if fitting else {}


async def test_what_one_project_has_no_other_sees_or_touches() -> None:
    known = dict(line.rsplit("  ", 1) for line in TABLE.read_text().splitlines())
    async with story() as cloud:
        owned = await owns(cloud)
        owner = await cloud.plane.identity.issue_for("demo", "demo")
        stranger = await a_stranger(cloud)
        each = in_order(routes_of(cloud.plane))
        before = await seen_by(cloud, owner, each, owned)
        strangers = {}
        for method, route in each:
            answer = await send(cloud, method, route, owned, stranger)
            strangers[method, route.path] = answer.status
            told = owned.path(route) + json.dumps(owned.body(method, route), default=str)
            leaked = [id for id in secrets(owned) if id in answer.body.decode("utf-8", "replace") and id not in told]
            assert not leaked, f"{method} {route.path} tells of {leaked}: {answer.body[:500]!r}"
        after = await seen_by(cloud, owner, each, owned)
        assert [path for path in before if before[path] != after[path]] == []
        found = {}
        for method, route in each:
            answer = await send(cloud, method, route, owned, owner)
            found[f"{method} {route.path}"] = f"{strangers[method, route.path]} {answer.status}"
    now, then = ({f"{row}  {statuses}" for row, statuses in table.items()} for table in (found, known))
    assert now == then, "\n".join(
        ["not in the table:", *sorted(now - then), "in the table alone:", *sorted(then - now)]
    )


def in_order(routes: Sequence[Route]) -> list[tuple[str, Route]]:
    """What reads, what changes, and what deletes: the innermost first."""
    rank = {"GET": 0, "HEAD": 0, "PUT": 1, "POST": 2, "PATCH": 3, "DELETE": 4}
    each = [(method, route) for route in routes for method in route.methods]
    return sorted(each, key=lambda one: (rank[one[0]], -one[1].path.count("/") if one[0] == "DELETE" else 0))


async def send(cloud: Story, method: str, route: Route, owned: Owned, token: str) -> Answer:
    headers = {"OpenStack-API-Version": "compute 2.96"}
    body = owned.body(method, route)
    if route.path.endswith("/images/{id}"):
        headers |= JSON_PATCH
    if isinstance(body, bytes):
        headers |= OCTETS
    if route.path.endswith("/auth/tokens"):
        headers["X-Subject-Token"] = owned.things["token"]
    return await ask(cloud.plane.app, method, owned.path(route), body, token=token, headers=headers)


async def seen_by(cloud: Story, token: str, each: Sequence[tuple[str, Route]], owned: Owned) -> Mapping[str, object]:
    """All that the owner reads."""
    found = {}
    for method, route in each:
        if method == "GET" and not route.path.endswith(("/auth/tokens", "/agents", "/agents/{thing}")):
            answer = await send(cloud, method, route, owned, token)
            found[route.path] = (answer.status, answer.body)
    return found


def secrets(owned: Owned) -> Sequence[str]:
    return [thing for thing in owned.things.values() if len(thing) > 8 and thing not in SHARED]


async def a_stranger(cloud: Story) -> str:
    """The token of a member of another project."""
    admin = cloud.plane.session("identity/v3", "admin", "admin")
    project = (await admin.json("POST", "/projects", {"project": {"name": "other"}}))["project"]["id"]
    user = (await admin.json("POST", "/users", {"user": {"name": "stranger"}}))["user"]["id"]
    [role] = (await admin.json("GET", "/roles?name=member"))["roles"]
    await admin.call("PUT", f"/projects/{project}/users/{user}/roles/{role['id']}")
    return await cloud.plane.identity.issue_for("stranger", "other")


async def owns(cloud: Story) -> Owned:
    """One thing of each kind of the user demo, with all that a thing may have."""
    compute, network = cloud.compute, cloud.network
    image = cloud.plane.session("image/v2", "demo", "demo")
    admin = cloud.plane.session("identity/v3", "admin", "admin")

    async def made(path: str, word: str, **fields: Any) -> Any:
        return (await network.json("POST", f"/v2.0/{path}", {word: fields}))[word]

    async def known(word: str, name: str) -> str:
        [found] = (await admin.json("GET", f"/{word}s?name={name}"))[f"{word}s"]
        return str(found["id"])

    net = cloud.network_id
    [subnet] = (await network.json("GET", f"/v2.0/subnets?network_id={net}"))["subnets"]
    port = (await made("ports", "port", network_id=net))["id"]
    group = await made("security-groups", "security_group", name="owners-group")
    rule = group["security_group_rules"][0]["id"]
    await compute.json("POST", "/os-keypairs", {"keypair": {"name": "owners-key"}})
    server = await cloud.create("owners-server", metadata={"owners-word": "x"}, key_name="owners-key")

    async def is_active() -> bool:
        return await cloud.status(server) == "ACTIVE"

    await until(is_active, within=30)
    mine = {
        "X-Auth-Token": await cloud.plane.identity.issue_for("demo", "demo"),
        "OpenStack-API-Version": "compute 2.96",
    }
    await ask(cloud.plane.app, "PUT", f"/compute/v2.1/servers/{server}/tags/owners-tag", headers=mine)
    action = (await compute.json("GET", f"/servers/{server}/os-instance-actions"))["instanceActions"][0]["request_id"]
    nic = (await cloud.port(server))["id"]
    for kind, thing in (("networks", net), ("subnets", subnet["id"]), ("ports", nic), ("security-groups", group["id"])):
        await network.call("PUT", f"/v2.0/{kind}/{thing}/tags/owners-tag")
    disk = {"name": "owners-disk", "disk_format": "raw", "container_format": "bare", "tags": ["owners-tag"]}
    image_id = (await image.json("POST", "/images", disk))["id"]
    demo, project = await known("user", "demo"), await known("project", "demo")
    [role] = (await admin.json("GET", "/roles?name=reader"))["roles"]
    friends = (await admin.json("POST", "/groups", {"group": {"name": "owners-friends"}}))["group"]["id"]
    hypervisors = (await compute_admin(cloud).json("GET", "/os-hypervisors"))["hypervisors"]
    services = (await compute_admin(cloud).json("GET", "/os-services"))["services"]
    agents = (await cloud.plane.session("network").json("GET", "/v2.0/agents"))["agents"]
    things = {
        "server": server, "server_id": server, "key": "owners-word", "tag": "owners-tag", "action": action,
        "ips/network": "private", "os-interface/port": nic, "flavors/flavor": "1", "os-keypairs/name": "owners-key",
        "hypervisor": str(hypervisors[0]["id"]), "os-services/service": str(services[0]["id"]), "project": project,
        "os-extra_specs/key": "word", "networks/thing": net, "subnets/thing": subnet["id"], "ports/thing": nic,
        "security-groups/thing": group["id"], "security-group-rules/thing": rule, "bindings/host": "host-1",
        "agents/thing": agents[0]["id"], "extensions/thing": "quotas", "floatingips/thing": port, "routers/thing": port,
        "images/id": image_id, "schemas/name": "image", "users/id": demo, "projects/id": project, "users/who": demo,
        "domains/id": "default", "groups/id": friends, "groups/who": friends, "roles/id": role["id"],
        "roles/role": role["id"], "users/user": demo, "services/id": "1", "endpoints/id": "1", "regions/id": "1",
        "token": mine["X-Auth-Token"], "port": port,
    }  # fmt: skip
    return Owned(things, bodies_of(things, cloud.image_id))


def compute_admin(cloud: Story) -> Any:
    return cloud.plane.session("compute/v2.1", "admin", "admin")


def bodies_of(things: Mapping[str, str], image: str) -> Mapping[str, Any]:
    """What is sent, such that the owner may: it is not for its form that a stranger is refused."""
    net, group = things["networks/thing"], things["security-groups/thing"]
    nic = {"networks": [{"uuid": net}]}
    auth = {"methods": ["token"], "token": {"id": "none"}}
    return {
        "POST /servers": {"server": {"name": "x", "flavorRef": "1", "imageRef": image, **nic}},
        "PUT /servers/{server}": {"server": {"name": "x"}},
        "POST /servers/{server}/action": {"os-stop": None},
        "PUT /metadata": {"metadata": {"a": "b"}},
        "POST /metadata": {"metadata": {"a": "b"}},
        "PUT /metadata/{key}": {"meta": {"owners-word": "b"}},
        "PUT /tags": {"tags": ["x"]},
        "POST /os-keypairs": {"keypair": {"name": "x", "public_key": PUBLIC_KEY}},
        "PUT /networks/{thing}": {"network": {"name": "x"}},
        "POST /networks": {"network": {"name": "x"}},
        "PUT /subnets/{thing}": {"subnet": {"name": "x"}},
        "POST /subnets": {"subnet": {"network_id": net, "ip_version": 4, "cidr": "10.7.0.0/24"}},
        "PUT /ports/{thing}": {"port": {"name": "x"}},
        "POST /ports": {"port": {"network_id": net}},
        "PUT /security-groups/{thing}": {"security_group": {"name": "x"}},
        "POST /security-groups": {"security_group": {"name": "x"}},
        "POST /security-group-rules": {"security_group_rule": {"security_group_id": group, "direction": "ingress"}},
        "PUT /security-group-rules/{thing}": {"security_group_rule": {"description": "x"}},
        "PATCH /images/{id}": [{"op": "replace", "path": "/name", "value": "x"}],
        "POST /images": {"name": "x"},
        "PUT /images/{id}/file": b"data",
        "POST /images/{id}/members": {"member": things["project"]},
        "PUT /images/{id}/members/{project}": {"status": "accepted"},
        "POST /users/{id}/password": {"user": {"password": "x", "original_password": "none"}},
        "POST /auth/tokens": {"auth": {"identity": auth}},
        "PATCH /users/{id}": {"user": {"name": "x"}},
        "PATCH /projects/{id}": {"project": {"name": "x"}},
    }
