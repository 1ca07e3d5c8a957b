"""Calls an ASGI application in this process, as a client on the other side of a socket would."""

import json
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from moorage.kit.mount import Asgi


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: Asgi,
    method: str,
    target: str,
    body: object = None,
    *,
    token: str = "",
    headers: Mapping[str, str] | None = None,
    parts: Sequence[bytes] | None = None,
    is_cut: bool = False,
) -> Answer:
    """The answer to a request. `body` is sent as JSON, or as it is when bytes; `parts` as the pieces of a body.

    `is_cut`: the client goes away after the last piece, before it has said that it was the last.
    """
    path, _, query = target.partition("?")
    sent = {"Host": "cloud.example:8780", **(headers or {})}
    if token:
        sent["X-Auth-Token"] = token
    if parts is None:
        parts = [] if body is None else [body if isinstance(body, bytes) else json.dumps(body).encode()]
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
            sent.setdefault("Content-Length", str(sum(map(len, parts))))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 8780),
    }
    coming: list[MutableMapping[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": True} for part in parts
    ]
    if not is_cut:
        coming.append({"type": "http.request", "body": b"", "more_body": False})
    answer: dict[str, Any] = {"status": 0, "headers": {}, "body": b""}

    async def receive() -> MutableMapping[str, Any]:
        return coming.pop(0) if coming else {"type": "http.disconnect"}

    async def send(event: MutableMapping[str, Any]) -> None:
        if event["type"] == "http.response.start":
            answer["status"] = event["status"]
            answer["headers"] = {name.decode().lower(): value.decode() for name, value in event["headers"]}
        else:
            answer["body"] += event.get("body", b"")

    await app(scope, receive, send)
    return Answer(**answer)
