"""Whatever is sent to whichever route: it is answered, in time, and nothing of ours breaks.

What is tried is found in the routes themselves: bodies by the types and tables that a resource and its module hold,
queries by the words in its code, ids by what the list before a variable shows. MOORAGE_REQUESTS=N sends so many to each
method of each route instead of a few.
"""

import asyncio
import json
import os
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args
from urllib.parse import quote, urlencode

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.asgi import Answer, ask
from tests.story.routes import Route, routes_of
from tests.story.standing import Standing, standing

from moorage.domain.identity import Project, Role, User

T = TypeVar("T")
SERVICES = ["identity", "image", "compute", "network", "timeline"]
EACH = int(os.environ.get("MOORAGE_REQUESTS", "3"))
PATIENCE = 120.0  # virtual seconds: longer than any limit of ours
EXAMPLES = settings(
    max_examples=EACH,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # what a request meets depends on those before it: a shorter one would meet another cloud
    suppress_health_check=list(HealthCheck),
)
# fmt: off
ODD_TEXTS = [
    "", " ", "\0", "é", "\U0001f600", "x" * 300, "9" * 5000, "-1", "0", "1e400", "nan", "../..", "%", "%zz", "a,b",
    "true", "10.0.0.0/24", "10.0.0.9", "0.0.0.0/0", "::/0", "fe80::1", "fa:16:3e:00:00:77", "2026-01-01T00:00:00Z",
    "None", "asc", "99999999-9999-4999-8999-999999999999", "1" * 32, "tcp", "ingress", "in:a,b", "gt:5",
]
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 4, 6, 2**31, 2**63, 2**64, -(2**64), 10**400, 0.5, 1e300, [], {}, [None], [[]], [{}],
    {"": None}, {"id": {}}, [1, "x"], *ODD_TEXTS,
]
RAW = [
    b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a":' * 3000, b"[" * 100_000, b'"\\ud800"', b"{}" * 2, b"1e999", b"NaN",
    b'{"a": 1, "a": 2}', b"x" * 120_000, b'{"server": {"name": "\\ud800"}}',
]
TYPES = [
    "application/json", "application/octet-stream", "application/openstack-images-v2.1-json-patch", "text/plain", "é",
    "application/openstack-images-v2.0-json-patch", "", "application/json; charset=utf-16",
]
VERSIONS = ["compute 2.96"] * 4 + ["compute 2.1", "compute 2.53", "compute latest", "compute 2.999", "compute", "é", ""]
HEADERS = ["", "revision_number=1", "revision_number=" + "9" * 5000, "*", "bytes=0-", "x" * 300, "[::1", "é"]
NAMES = ["If-Match", "X-Subject-Token", "X-OpenStack-Request-ID", "If-None-Match", "Host", "Range"]
# fmt: on


@dataclass(frozen=True)
class Sent:
    """One request, as it is told when it goes wrong."""

    method: str
    target: str
    body: bytes | None
    token: str
    headers: dict[str, str] = field(default_factory=dict)


@pytest.mark.parametrize("service", SERVICES)
def test_no_request_breaks_a_service_or_is_left_without_an_answer(service: str, errors: list[str]) -> None:
    with standing() as cloud:
        assert sorted(part.name for part in cloud.plane.services) == sorted(SERVICES)
        found = [route for route in routes_of(cloud.plane) if route.service == service]
        sender = Sender(cloud, errors)
        for method, route in in_order(found):
            sender.try_out(method, route)
        sender.wait()
        assert sender.sent >= len(found) * min(EACH, 2)
        assert not sender.wrong, "\n".join(sender.wrong)


def in_order(routes: Sequence[Route]) -> Iterator[tuple[str, Route]]:
    """Every method of every route; what deletes comes last, the innermost first."""
    each = [(method, route) for route in routes for method in route.methods]
    return iter(sorted(each, key=lambda one: one[0] == "DELETE" and 100 - one[1].path.count("/")))


class Sender:
    """Tries routes out; what went wrong is in `wrong`."""

    def __init__(self, cloud: Standing, errors: list[str]) -> None:
        self.cloud = cloud
        self.errors = errors
        self.wrong: list[str] = []
        self.sent = 0
        self.tokens = [cloud.token("admin", "admin"), cloud.token("nova", "service"), cloud.token("demo", "demo")]
        # who sends must not be locked out by what is sent
        self.spared = {"default", "1", *cloud.run(self._ours())}
        self.known = cloud.stock()
        self.refills = 4

    async def _ours(self) -> list[str]:
        store = self.cloud.plane.identity.store
        people, places, roles = await store.find(User), await store.find(Project), await store.find(Role)
        return [*(one.id for one in people), *(one.id for one in places), *(one.id for one in roles)]

    def try_out(self, method: str, route: Route) -> None:
        places = self._places(route)

        @EXAMPLES
        @given(requests(method, route, places, self.known, self.tokens))
        def one(sent: Sent) -> None:
            self.sent += 1
            try:
                answer = self.cloud.run(self._send(sent), within=PATIENCE)
            except TimeoutError:
                self.wrong.append(f"no answer: {sent}")
                return
            except Exception as error:
                self.wrong.append(f"{error!r}: {sent}")
                return
            # a port that cannot be bound is a 500 in Neutron, too, and what Nova looks for
            if answer.status == 0 or (answer.status >= 500 and b"PortBindingError" not in answer.body):
                self.wrong.append(f"{answer.status} {answer.body[:200]!r}: {sent}")

        one()
        self._note_errors(f"{method} {route.path}")

    def wait(self) -> None:
        """Until what was begun has come to an end."""
        self.cloud.run(asyncio.sleep(60))
        self._note_errors("later")

    def _note_errors(self, when: str) -> None:
        self.wrong += [f"{when}: {error[:2000]}" for error in self.errors]
        self.errors.clear()

    async def _send(self, sent: Sent) -> Answer:
        return await ask(
            self.cloud.plane.app, sent.method, sent.target, sent.body, token=sent.token, headers=sent.headers
        )

    def _places(self, route: Route) -> list[Sequence[str]]:
        """For each variable of the path what may stand there: what the list before it shows."""
        places: list[Sequence[str]] = []
        path = ""
        for part in route.path.removeprefix("/").split("/"):
            if part.startswith("{"):
                shown = self._shown(path)
                if shown == [] and not places and self.refills:
                    self.refills -= 1
                    self.known = [*self.known, *self.cloud.stock()]
                    shown = self._shown(path)
                places.append(shown or self.known)
                part = quote(places[-1][0], safe="")
            path += f"/{part}"
        return places

    def _shown(self, path: str) -> list[str] | None:
        """None where no list is."""
        token = {"X-Auth-Token": self.tokens[0]}
        answer = self.cloud.run(
            ask(self.cloud.plane.app, "GET", path, headers=token | {"OpenStack-API-Version": "compute 2.96"})
        )
        if answer.status != 200:
            return None
        found = list(dict.fromkeys(_names(json.loads(answer.body))))
        return [name for name in found if name not in self.spared]


def _names(shown: Any, key: str = "") -> Iterator[str]:
    match shown:
        case dict() if isinstance(shown.get("id"), str | int):
            yield str(shown["id"])
        case dict() if isinstance(shown.get("name"), str):
            yield shown["name"]
        case dict():
            for name, value in shown.items():
                if name not in ("links", "schema", "first"):
                    yield from _names(value, name)
        case list():
            for one in shown:
                yield from _names(one, key)
        case str() if key not in ("self", "previous", "next", "schema", "first"):
            yield shown


def requests(
    method: str, route: Route, places: Sequence[Sequence[str]], known: Sequence[str], tokens: Sequence[str]
) -> st.SearchStrategy[Sent]:
    texts = st.one_of(st.sampled_from(known), st.sampled_from(ODD_TEXTS), st.text(max_size=8))
    odd = st.one_of(st.sampled_from(ODD), st.sampled_from(known))
    words = route.words() or ["name"]
    nouns = [part.replace("-", "").rstrip("s") for part in route.path.split("/") if len(part) > 3 and "{" not in part]
    kinds = fitting(route.bodies(), lambda kind: any(noun in kind.__name__.lower() for noun in nouns[-1:]))
    envelopes = fitting(route.envelopes(), lambda word: word.replace("_", "").rstrip("s") in nouns[-1:])

    @st.composite
    def request(draw: st.DrawFn) -> Sent:
        path = ""
        variables = iter(places)
        for part in route.path.removeprefix("/").split("/"):
            if part.startswith("{"):
                is_there = draw(st.integers(0, 7)) > 0
                part = quote(draw(st.sampled_from(next(variables))) if is_there else draw(texts), safe="")
            path += f"/{part}"
        query = ""
        if draw(st.integers(0, 1 if method == "GET" else 7)) == 1 or (method == "GET" and draw(st.booleans())):
            pairs = st.tuples(st.sampled_from(words), st.one_of(texts, st.sampled_from(words)))
            query = "?" + urlencode(draw(st.lists(pairs, min_size=1, max_size=3)), errors="replace")
        token = draw(st.sampled_from([*([tokens[0]] * 8), *tokens, *tokens, "", "x", "é" * 3]))
        headers = {"OpenStack-API-Version": draw(st.sampled_from(VERSIONS))}
        body = None
        if method in ("POST", "PUT", "PATCH"):
            body = draw(bodies(kinds, envelopes, words, texts, odd, known))
            if draw(st.integers(0, 3)) == 0:
                headers["Content-Type"] = draw(st.sampled_from(TYPES))
            elif method == "PATCH" and route.service == "image":
                headers["Content-Type"] = TYPES[2]
        for name in NAMES:
            if draw(st.integers(0, 15)) == 0:
                headers[name] = draw(st.one_of(st.sampled_from(HEADERS), st.sampled_from(tokens[2:])))
        return Sent(method, path + query, body, token, headers)

    return request()


def fitting(all: Sequence[T], fits: Callable[[T], bool]) -> Sequence[T]:
    """All of them, those that fit more often than all others."""
    found = [one for one in all if fits(one)]
    return [*all, *(found * (3 * len(all) // len(found) if found else 0))]


def bodies(
    kinds: Sequence[type[msgspec.Struct]],
    envelopes: Sequence[str],
    words: Sequence[str],
    texts: st.SearchStrategy[str],
    odd: st.SearchStrategy[Any],
    known: Sequence[str],
) -> st.SearchStrategy[bytes]:
    """Bodies of the types that the route knows, in its envelopes, with something odd here and there; or anything."""

    @st.composite
    def body(draw: st.DrawFn) -> bytes:
        shape = draw(st.integers(0, 11))
        if shape == 0:
            return draw(st.sampled_from(RAW))
        if kinds and shape < 10:
            kind = draw(st.sampled_from(kinds))
            is_odd = draw(st.booleans())
            inner = filled(draw, kind, texts if is_odd else st.sampled_from(known), odd if is_odd else None)
        elif shape == 10:
            inner = draw(odd)
        else:
            inner = draw(st.dictionaries(st.sampled_from(words), odd, max_size=4))
        if envelopes and draw(st.integers(0, 7)) > 1:
            word = draw(st.sampled_from(envelopes))
            inner = {word: [inner, inner] if word.endswith("s") and draw(st.booleans()) else inner}
        elif draw(st.integers(0, 7)) == 0:
            inner = [
                {
                    "op": draw(st.sampled_from(["add", "replace", "remove", "x"])),
                    "path": draw(paths),
                    "value": draw(odd),
                }
            ]
        return json.dumps(inner).encode()

    paths = st.one_of(st.sampled_from([f"/{word}" for word in words]), texts)
    return body()


def filled(draw: st.DrawFn, kind: Any, texts: st.SearchStrategy[str], odd: st.SearchStrategy[Any] | None) -> Any:
    """A value for a field of this type; now and then an odd one, if there are any."""
    if odd is not None and draw(st.integers(0, 11)) == 0:
        return draw(odd)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        value = {}
        for one in msgspec.structs.fields(kind):
            if one.required or draw(st.integers(0, 3)) == 0:
                value[one.encode_name] = filled(draw, one.type, texts, odd)
        return value
    kinds = get_args(kind)
    if hasattr(kind, "__metadata__"):
        return filled(draw, kinds[0], texts, odd)
    origin = getattr(kind, "__origin__", None)
    if origin is list:
        return [filled(draw, kinds[0], texts, odd) for _ in range(draw(st.integers(0, 2)))]
    if origin is dict:
        return {draw(texts): filled(draw, kinds[1], texts, odd) for _ in range(draw(st.integers(0, 2)))}
    if kind is bool:
        return draw(st.booleans())
    if kind is int:
        return draw(
            st.one_of(st.integers(-1, 70_000), st.sampled_from([2**31 - 1, 2**31, 2**63 - 1, 2**63, 2**64 - 1]))
        )
    if kind is float:
        return draw(st.sampled_from([0.0, -1.5, 1e308]))
    if kind is str:
        return draw(st.one_of(texts, st.text(string.ascii_lowercase, min_size=1, max_size=6)))
    if kind is type(None):
        return None
    usable = [one for one in kinds if one is not msgspec.UnsetType]
    if usable:
        chosen = draw(st.sampled_from(usable))
        return chosen if isinstance(chosen, str | int) else filled(draw, chosen, texts, odd)
    return draw(texts if odd is None else odd)
