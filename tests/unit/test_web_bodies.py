"""Bodies that are too large: refused in words, which the caller only gets to read when it is done with sending."""

from collections.abc import Mapping
from typing import Any

import falcon.asgi
import pytest

from moorage.kit import web
from moorage.kit.web import READ_PAST, Refused, Request, Response, body_of, send

LIMIT = 1000  # bytes
PIECE = 1 << 16  # bytes


class Reading:
    async def on_post(self, request: Request, response: Response) -> None:
        send(response, {"size": len(await body_of(request, limit=LIMIT))})


def rendered(error: Exception) -> tuple[int, Mapping[str, Any]]:
    assert isinstance(error, Refused)
    return error.status, {"message": error.message}


async def answer(size: int, *, is_announced: bool) -> tuple[int, int]:
    """The status of the answer to a body of `size` bytes, and how many of them were read."""

    async def nobody(_token: str) -> object:
        return None

    app: falcon.asgi.App[Request, Response] = web.make_app(
        authenticate=nobody, render=rendered, is_open=lambda _: True, refused=Refused
    )
    app.add_route("/", Reading())
    read, status = 0, 0

    async def receive() -> dict[str, Any]:
        nonlocal read
        piece = min(PIECE, size - read)
        read += piece
        return {"type": "http.request", "body": b"x" * piece, "more_body": read < size}

    async def send_event(event: Any) -> None:
        nonlocal status
        status = event.get("status", status)

    length = [(b"content-length", str(size).encode())] if is_announced else []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), *length],
        "server": ("cloud", 80),
        "scheme": "http",
    }
    await app(scope, receive, send_event)
    return status, read


@pytest.mark.parametrize("is_announced", [True, False])
async def test_a_body_within_the_limit_is_read(is_announced: bool) -> None:
    assert await answer(LIMIT, is_announced=is_announced) == (200, LIMIT)


@pytest.mark.parametrize("is_announced", [True, False])
async def test_a_larger_one_is_read_to_its_end_and_refused(is_announced: bool) -> None:
    assert await answer(10 * PIECE, is_announced=is_announced) == (413, 10 * PIECE)


async def test_an_endless_one_is_not_read_to_its_end() -> None:
    status, read = await answer(10 * READ_PAST, is_announced=False)
    assert (status, read < 2 * READ_PAST) == (413, True)
    status, read = await answer(10 * READ_PAST, is_announced=True)
    assert (status, read <= PIECE) == (413, True)
