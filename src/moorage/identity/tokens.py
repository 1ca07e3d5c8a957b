"""Tokens: what they say, signed into a string and read back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from moorage.domain.caller import Caller
from moorage.domain.errors import NotFound
from moorage.domain.identity import (
    Scope,
    ScopeKind,
    about_grants,
    about_group,
    about_group_grants,
    about_membership,
    about_owner,
    about_role,
    about_scope,
    about_token,
    about_user,
)
from moorage.domain.ids import ProjectId, UserId

ALGORITHM = "EdDSA"
MAX_TOKEN = 16_384  # characters; ours have some 900


@dataclass(frozen=True)
class Named:
    """An id with its name, as a token carries them."""

    id: str
    name: str


@dataclass(frozen=True)
class Token:
    """What a token says. `scope` is None for an unscoped one; `scope_name` and `scope_domain` go with the scope."""

    user: Named
    user_domain: Named
    methods: tuple[str, ...]
    audit_ids: tuple[str, ...]  # its own, then the first of the chain it was made from
    issued_at: datetime
    expires_at: datetime  # whole seconds
    scope: Scope | None = None
    scope_name: str = ""
    scope_domain: Named | None = None  # for a project
    roles: tuple[Named, ...] = ()
    groups: tuple[str, ...] = ()  # ids of those that the user has roles by

    def subjects(self) -> tuple[str, ...]:
        """What must not have been revoked for this token to count."""
        known = [about_token(self.audit_ids[0]), about_user(self.user.id), about_owner(self.user_domain.id)]
        if self.scope is not None:
            known += [about_scope(self.scope), about_grants(self.user.id, self.scope)]
            known += [about_role(role.id) for role in self.roles]
            for group in self.groups:
                known += [
                    about_group(group),
                    about_membership(group, self.user.id),
                    about_group_grants(group, self.scope),
                ]
        if self.scope_domain is not None:
            known.append(about_scope(Scope(ScopeKind.DOMAIN, self.scope_domain.id)))
        return tuple(known)

    def caller(self) -> Caller:
        is_project = self.scope is not None and self.scope.kind is ScopeKind.PROJECT
        return Caller(
            user=UserId(self.user.id),
            project=ProjectId(self.scope.id) if self.scope is not None and is_project else None,
            roles=frozenset(role.name for role in self.roles),
            user_name=self.user.name,
            project_name=self.scope_name if is_project else "",
            domain=self.user_domain.id,
            is_system=self.scope is not None and self.scope.kind is ScopeKind.SYSTEM,
        )


class TokenReader:
    """Reads what a Signer has written: needs the public key only."""

    def __init__(self, public_key: Ed25519PublicKey) -> None:
        self._key = public_key

    def read(self, text: str) -> Token:
        """What a token says; whether it still counts is for others. Raises NotFound for one that is not ours."""
        try:
            if len(text) > MAX_TOKEN:
                raise NotFound("Could not find token.")
            claims = jwt.decode(
                text,
                self._key,
                algorithms=[ALGORITHM],
                options={"verify_exp": False, "verify_iat": False, "require": ["exp", "sub", "jti"]},
            )
            return _token(claims)
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError) as error:
            raise NotFound("Could not find token.") from error


def reader_of(public_key: bytes) -> TokenReader:
    """Of a key in PEM. Raises ValueError for anything else."""
    key = load_pem_public_key(public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("the key that tokens are verified with is Ed25519")  # noqa: TRY004 - as the loader does
    return TokenReader(key)


class Signer(TokenReader):
    """Writes tokens with the private key (Ed25519, PEM)."""

    def __init__(self, private_key: bytes) -> None:
        key = load_pem_private_key(private_key, password=None)
        assert isinstance(key, Ed25519PrivateKey), "the key that signs tokens is Ed25519"
        super().__init__(key.public_key())
        self._private = key
        self.public_key = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, token: Token) -> str:
        return jwt.encode(_claims(token), self._private, algorithm=ALGORITHM)


def _claims(token: Token) -> dict[str, Any]:
    claims: dict[str, Any] = {
        "sub": token.user.id,
        "name": token.user.name,
        "domain": [token.user_domain.id, token.user_domain.name],
        "methods": list(token.methods),
        "jti": token.audit_ids[0],
        "chain": list(token.audit_ids[1:]),
        "iat": int(token.issued_at.timestamp()),
        "us": token.issued_at.microsecond,
        "exp": int(token.expires_at.timestamp()),
    }
    if token.scope is not None:
        claims["scope"] = [token.scope.kind.value, token.scope.id, token.scope_name]
        claims["roles"] = [[role.id, role.name] for role in token.roles]
    if token.groups:
        claims["groups"] = list(token.groups)
    if token.scope_domain is not None:
        claims["in"] = [token.scope_domain.id, token.scope_domain.name]
    return claims


def _token(claims: Mapping[str, Any]) -> Token:
    kind, target, name = claims.get("scope") or (None, "", "")
    return Token(
        user=Named(claims["sub"], claims["name"]),
        user_domain=Named(*claims["domain"]),
        methods=tuple(claims["methods"]),
        audit_ids=(claims["jti"], *claims["chain"]),
        issued_at=datetime.fromtimestamp(claims["iat"], UTC) + timedelta(microseconds=claims["us"]),
        expires_at=datetime.fromtimestamp(claims["exp"], UTC),
        scope=Scope(ScopeKind(kind), target) if kind is not None else None,
        scope_name=name,
        scope_domain=Named(*claims["in"]) if "in" in claims else None,
        roles=tuple(Named(*role) for role in claims.get("roles", ())),
        groups=tuple(claims.get("groups", ())),
    )
