"""What a new cloud begins with: one domain, three projects, five roles, five users."""

from collections.abc import Mapping
from functools import partial
from uuid import uuid4

from moorage.domain.errors import Conflict, NotFound
from moorage.domain.identity import WHOLE_SYSTEM, Domain, Grant, Project, Role, Scope, ScopeKind, User
from moorage.identity.service import IdentityService
from moorage.kit.retry import retry

DEFAULT = Domain("default", "Default", "The default domain")
PROJECTS = ("admin", "demo", "service")
ROLES = ("admin", "member", "reader", "service", "manager")
GRANTS = (  # user, role, project (None: the whole system)
    ("admin", "admin", "admin"),
    ("admin", "admin", None),
    ("demo", "member", "demo"),
    ("nova", "service", "service"),
    ("neutron", "service", "service"),
    ("glance", "service", "service"),
)


async def bootstrap(service: IdentityService, passwords: Mapping[str, str]) -> None:
    """Make what is missing of the above; what is there stays as it is. Repeatable.

    Users without one in `passwords` are not made; those who are there already keep theirs. May be done by several
    processes at once.
    """
    await retry(partial(_make_what_is_missing, service, passwords), on=Conflict)  # whom another was quicker to make
    await service.revocations.refresh()


async def _make_what_is_missing(service: IdentityService, passwords: Mapping[str, str]) -> None:
    store = service.store
    try:
        await store.get(Domain, DEFAULT.id)
    except NotFound:
        await store.add(DEFAULT)
    roles = {role.name: role.id for role in await store.find(Role)}
    for name in ROLES:
        if name not in roles:
            roles[name] = uuid4().hex
            await store.add(Role(roles[name], name))
    projects = {project.name: project.id for project in await store.find(Project, {"domain_id": DEFAULT.id})}
    for name in PROJECTS:
        if name not in projects:
            projects[name] = uuid4().hex
            await store.add(Project(projects[name], name, DEFAULT.id, parent_id=DEFAULT.id))
    users = {user.name: user.id for user in await store.find(User, {"domain_id": DEFAULT.id})}
    for name, _, project in GRANTS:
        if name not in users and name in passwords:
            users[name] = uuid4().hex
            await store.add(
                User(
                    users[name],
                    name,
                    DEFAULT.id,
                    await service.passwords.hash(passwords[name]),
                    default_project_id=projects[project] if project is not None else None,
                )
            )
    for name, role, project in GRANTS:
        if name not in users:
            continue
        scope = (
            Scope(ScopeKind.PROJECT, projects[project])
            if project is not None
            else Scope(ScopeKind.SYSTEM, WHOLE_SYSTEM)
        )
        await store.grant(Grant(users[name], roles[role], scope))
