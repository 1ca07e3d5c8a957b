"""How identity shows its things."""

from typing import Any

from moorage.domain.identity import Domain, Grant, Group, Project, Role, ScopeKind, User
from moorage.identity.tokens import Named, Token
from moorage.seams.identity_store import AnyGrant
from moorage.wire.times import exact

UPDATED = "2020-04-07T00:00:00Z"


def version(base: str) -> dict[str, Any]:
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": UPDATED,
        "links": [{"rel": "self", "href": f"{base}/identity/v3/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


def token_view(token: Token, catalog: list[dict[str, Any]] | None) -> dict[str, Any]:
    """`catalog` None: it was not wanted."""
    view: dict[str, Any] = {
        "methods": list(token.methods),
        "user": _named(token.user) | {"domain": _named(token.user_domain), "password_expires_at": None},
        "audit_ids": list(token.audit_ids),
        "issued_at": exact(token.issued_at),
        "expires_at": exact(token.expires_at),
    }
    if token.scope is None:
        return view
    view["roles"] = [_named(role) for role in token.roles]
    if catalog is not None:
        view["catalog"] = catalog
    match token.scope.kind:
        case ScopeKind.PROJECT:
            assert token.scope_domain is not None, "a project has a domain"
            shown = {"id": token.scope.id, "name": token.scope_name, "domain": _named(token.scope_domain)}
            view |= {"project": shown, "is_domain": False}
        case ScopeKind.DOMAIN:
            view["domain"] = {"id": token.scope.id, "name": token.scope_name}
        case ScopeKind.SYSTEM:
            view["system"] = {"all": True}
    return view


def domain_view(domain: Domain, base: str) -> dict[str, Any]:
    return {
        "id": domain.id,
        "name": domain.name,
        "description": domain.description,
        "enabled": domain.is_enabled,
        "options": {},
        "tags": [],
        "links": _self(base, "domains", domain.id),
    }


def project_view(project: Project, base: str) -> dict[str, Any]:
    return {
        "id": project.id,
        "name": project.name,
        "description": project.description,
        "domain_id": project.domain_id,
        "enabled": project.is_enabled,
        "is_domain": False,
        "parent_id": project.parent_id,
        "options": {},
        "tags": list(project.tags),
        "links": _self(base, "projects", project.id),
    }


def user_view(user: User, base: str) -> dict[str, Any]:
    view: dict[str, Any] = {
        "id": user.id,
        "name": user.name,
        "domain_id": user.domain_id,
        "enabled": user.is_enabled,
        "options": {},
        "password_expires_at": None,
        "links": _self(base, "users", user.id),
    }
    given = {
        "email": user.email,
        "description": user.description,
        "default_project_id": user.default_project_id,
        "project_id": user.project_id,
    }
    return view | {key: value for key, value in given.items() if value is not None}


def group_view(group: Group, base: str) -> dict[str, Any]:
    view = {
        "id": group.id,
        "name": group.name,
        "domain_id": group.domain_id,
        "description": group.description,
        "links": _self(base, "groups", group.id),
    }
    return view if group.project_id is None else view | {"project_id": group.project_id}


def role_view(role: Role, base: str) -> dict[str, Any]:
    return {
        "id": role.id,
        "name": role.name,
        "domain_id": None,
        "description": role.description,
        "options": {},
        "links": _self(base, "roles", role.id),
    }


def assignment_view(grant: AnyGrant, base: str, member: str | None = None) -> dict[str, Any]:
    """A role assignment without names: a user's, a group's, or what a group's is for one `member` of it."""
    kind, target = grant.scope.kind, grant.scope.id
    holder, id = ("user", grant.user_id) if isinstance(grant, Grant) else ("group", grant.group_id)
    if kind is ScopeKind.SYSTEM:
        scope: dict[str, Any] = {"system": {"all": True}}
        place = "system"
    else:
        scope = {kind.value: {"id": target}}
        place = f"{kind.value}s/{target}"
    links = {"assignment": f"{base}/identity/v3/{place}/{holder}s/{id}/roles/{grant.role_id}"}
    if member is not None:
        links["membership"] = f"{base}/identity/v3/groups/{id}/users/{member}"
        holder, id = "user", member
    return {"role": {"id": grant.role_id}, holder: {"id": id}, "scope": scope, "links": links}


def listed(word: str, views: list[dict[str, Any]], base: str, path: str) -> dict[str, Any]:
    """A whole list; identity has no pages."""
    return {word: views, "links": {"self": f"{base}/identity/v3{path}", "next": None, "previous": None}}


def _named(named: Named) -> dict[str, Any]:
    return {"id": named.id, "name": named.name}


def _self(base: str, word: str, id: str) -> dict[str, str]:
    return {"self": f"{base}/identity/v3/{word}/{id}"}
