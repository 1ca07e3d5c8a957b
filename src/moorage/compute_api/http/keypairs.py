"""/os-keypairs: a user's public keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import UnsetType

from moorage.compute_api import listing
from moorage.compute_api.http.edge import caller_of, eye_of, minor_of, next_link, only_keys, query_of, read_body
from moorage.compute_api.keys import fingerprint, require_name
from moorage.compute_api.service import ComputeApiService
from moorage.compute_api.view import keypair_summary, keypair_view
from moorage.domain.caller import Caller
from moorage.domain.errors import Forbidden, Invalid
from moorage.domain.ids import UserId
from moorage.kit.web import Request, Response, send, send_nothing
from moorage.seams.server_store import Keypair
from moorage.wire.compute import CreateKeypair


@dataclass(frozen=True)
class Keypairs:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response) -> None:
        only_keys(request, "user_id limit marker")
        eye, query = eye_of(request), query_of(request)
        pairs = list(await self.service.store.keypairs(user_of(request, query)))
        is_more = False
        if eye.minor >= 35:
            marker, limit = listing.last(query, "marker"), listing.limit_of(query)
            if marker is not None:
                if marker not in {pair.name for pair in pairs}:
                    raise Invalid(f"marker [{marker}] not found")
                pairs = [pair for pair in pairs if pair.name > marker]
            is_more, pairs = len(pairs) > limit, pairs[:limit]
        body: dict[str, Any] = {"keypairs": [{"keypair": keypair_summary(pair, eye)} for pair in pairs]}
        if is_more and pairs:
            body["keypairs_links"] = [next_link(request, pairs[-1].name)]
        send(response, body)

    async def on_post(self, request: Request, response: Response) -> None:
        wanted = (await read_body(request, CreateKeypair)).keypair
        eye, caller, service = eye_of(request), caller_of(request), self.service
        if eye.minor < 2 and not isinstance(wanted.type, UnsetType):
            raise Invalid("Additional properties are not allowed ('type' was unexpected)")
        user = caller.user
        if not isinstance(wanted.user_id, UnsetType):
            if eye.minor < 10:
                raise Invalid("Additional properties are not allowed ('user_id' was unexpected)")
            user = allowed(caller, wanted.user_id)
        require_name(wanted.name, eye.minor)
        kind = wanted.type if not isinstance(wanted.type, UnsetType) else "ssh"
        private: str | None = None
        if not isinstance(wanted.public_key, UnsetType):
            public = wanted.public_key
        elif eye.minor >= 92:
            raise Invalid("Invalid input for field/attribute keypair. 'public_key' is a required property")
        else:
            private, public = service.new_key(kind)
        pair = Keypair(0, user, wanted.name, kind, public, fingerprint(kind, public), service.clock.now())
        limits = await service.limits_of(project) if (project := caller_of(request).project) else service.limits
        pair = await service.store.add_keypair(pair, limit=limits.key_pairs)
        view = {**keypair_summary(pair, eye), "user_id": user}
        if private is not None:
            view["private_key"] = private
        send(response, {"keypair": view}, 201 if eye.minor >= 2 else 200)


@dataclass(frozen=True)
class OneKeypair:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, name: str) -> None:
        user = user_of(request, query_of(request))
        send(response, {"keypair": keypair_view(await self.service.store.keypair(user, name), eye_of(request))})

    async def on_delete(self, request: Request, response: Response, name: str) -> None:
        await self.service.store.delete_keypair(user_of(request, query_of(request)), name)
        send_nothing(response, 204 if minor_of(request) >= 2 else 202)


def user_of(request: Request, query: Mapping[str, Sequence[str]]) -> UserId:
    """The caller, or from 2.10 on the user that an admin names. Raises Forbidden."""
    caller, named = caller_of(request), listing.last(query, "user_id")
    return caller.user if named is None or minor_of(request) < 10 else allowed(caller, named)


def allowed(caller: Caller, user: str) -> UserId:
    if user != caller.user and not caller.is_admin:
        raise Forbidden("Policy doesn't allow os_compute_api:os-keypairs to be performed.")
    return UserId(user)
