"""Several ASGI applications on one port, each under its own path."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


class Mount:
    """Hands a request to the application that its path's first part names; the root answers everything else."""

    def __init__(self, root: Asgi | None = None) -> None:
        self._apps: dict[str, Asgi] = {}
        self._root = root

    def add(self, name: str, app: Asgi) -> None:
        """Mount `app` at /`name`."""
        self._apps[name] = app

    def add_root(self, app: Asgi) -> None:
        self._root = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "/")
        first, _, rest = path[1:].partition("/")
        app = self._apps.get(first)
        if app is None or scope["type"] != "http":
            assert self._root is not None, "a request before there was a root"
            await self._root(scope, receive, send)
            return
        inner = dict(scope)
        inner["root_path"] = scope.get("root_path", "") + "/" + first
        inner["path"] = "/" + rest
        await app(inner, receive, send)
