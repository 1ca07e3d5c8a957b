"""What a new token is for: the scope asked, the roles there, the life it gets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from moorage.domain.errors import Unauthorized
from moorage.domain.identity import WHOLE_SYSTEM, Domain, Project, Role, Scope, ScopeKind, User, with_implied
from moorage.identity.tokens import Named, Token

REFUSED = "The request you have made requires authentication."  # one text for all: it must not tell who exists


def refusal() -> Unauthorized:
    """What everyone hears who may not have the token, whatever the reason."""
    return Unauthorized(REFUSED)


@dataclass(frozen=True)
class Target:
    """What a token is to be scoped to, with what it must show. None of both: the whole system."""

    project: Project | None = None
    domain: Domain | None = None  # the project's, or the one scoped to

    @property
    def scope(self) -> Scope:
        if self.project is not None:
            return Scope(ScopeKind.PROJECT, self.project.id)
        if self.domain is not None:
            return Scope(ScopeKind.DOMAIN, self.domain.id)
        return Scope(ScopeKind.SYSTEM, WHOLE_SYSTEM)

    @property
    def is_enabled(self) -> bool:
        return (self.project is None or self.project.is_enabled) and (self.domain is None or self.domain.is_enabled)


def roles_in(granted: Iterable[str], roles: Sequence[Role]) -> tuple[Named, ...]:
    """The roles with the ids `granted`, and those that they imply, by name."""
    ids = frozenset(granted)
    names = with_implied(frozenset(role.name for role in roles if role.id in ids))
    return tuple(Named(role.id, role.name) for role in sorted(roles, key=lambda role: role.name) if role.name in names)


def methods_of(asked: Sequence[str], parent: Token | None) -> tuple[str, ...]:
    """How the bearer was identified: also by what stood behind the token that this one is made from."""
    before = parent.methods if parent is not None else ()
    return tuple(dict.fromkeys((*asked, *before)))


def issued(
    *,
    user: User,
    user_domain: Domain,
    methods: Sequence[str],
    target: Target | None,
    roles: tuple[Named, ...],
    groups: tuple[str, ...] = (),
    audit_id: str,
    now: datetime,
    life: timedelta,
    parent: Token | None = None,
) -> Token:
    """The token. One made from another ends when that ends.

    Raises Unauthorized for a user or a target that is switched off, or where the user has no role.
    """
    if not (user.is_enabled and user_domain.is_enabled):
        raise refusal()
    if target is not None and not (target.is_enabled and roles):
        raise refusal()
    project = target.project if target is not None else None
    domain = target.domain if target is not None else None
    named_domain = Named(domain.id, domain.name) if domain is not None else None
    return Token(
        user=Named(user.id, user.name),
        user_domain=Named(user_domain.id, user_domain.name),
        methods=methods_of(methods, parent),
        audit_ids=(audit_id, parent.audit_ids[-1]) if parent is not None else (audit_id,),
        issued_at=now,
        expires_at=parent.expires_at if parent is not None else (now + life).replace(microsecond=0),
        scope=target.scope if target is not None else None,
        scope_name=project.name if project is not None else named_domain.name if named_domain is not None else "",
        scope_domain=named_domain if project is not None else None,
        roles=roles,
        groups=groups,
    )
