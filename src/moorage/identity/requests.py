"""The bodies that identity reads."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType, field

from moorage.domain.errors import Invalid
from moorage.wire.json import Body


class DomainRef(Body):
    id: str | None = None
    name: str | None = None


class UserRef(Body):
    password: str
    id: str | None = None
    name: str | None = None
    domain: DomainRef | None = None


class PasswordMethod(Body):
    user: UserRef


class TokenMethod(Body):
    id: str


class IdentityPart(Body):
    methods: list[str]
    password: PasswordMethod | None = None
    token: TokenMethod | None = None


class ProjectRef(Body):
    id: str | None = None
    name: str | None = None
    domain: DomainRef | None = None


class SystemRef(Body):
    all: bool


class ScopePart(Body):
    project: ProjectRef | None = None
    domain: DomainRef | None = None
    system: SystemRef | None = None


class Auth(Body):
    identity: IdentityPart
    scope: ScopePart | Literal["unscoped"] | None = None


class AuthBody(Body):
    auth: Auth

    def check(self) -> None:
        """Raises Invalid for a body whose parts do not fit together."""
        identity, scope = self.auth.identity, self.auth.scope
        if not identity.methods:
            raise Invalid("Invalid input: give at least one method, 'password' or 'token'.")
        for method in identity.methods:
            if method in ("password", "token") and getattr(identity, method) is None:
                raise Invalid(f"Invalid input: method '{method}' is named, but 'identity.{method}' is missing.")
        if identity.password is not None:
            user = identity.password.user
            if user.id is None and user.name is None:
                raise Invalid("Invalid input: give the user's 'id', or 'name' with 'domain'.")
            if user.id is None and not _says(user.domain):
                raise Invalid("Invalid input: a user given by name needs a 'domain' with 'id' or 'name'.")
        if isinstance(scope, ScopePart):
            self._check_scope(scope)

    @staticmethod
    def _check_scope(scope: ScopePart) -> None:
        given = [part for part in (scope.project, scope.domain, scope.system) if part is not None]
        if len(given) != 1:
            raise Invalid("Invalid input: 'scope' needs exactly one of 'project', 'domain' and 'system'.")
        project = scope.project
        if project is not None and project.id is None and (project.name is None or not _says(project.domain)):
            raise Invalid("Invalid input: 'scope.project' needs an 'id', or a 'name' with a 'domain'.")
        if scope.domain is not None and not _says(scope.domain):
            raise Invalid("Invalid input: 'scope.domain' needs an 'id' or a 'name'.")
        if scope.system is not None and not scope.system.all:
            raise Invalid("Invalid input: 'scope.system.all' can only be true.")


def _says(domain: DomainRef | None) -> bool:
    return domain is not None and (domain.id is not None or domain.name is not None)


Name64 = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Name255 = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Options = dict[str, Any]


class NewDomain(Body):
    name: Name64
    description: str | None = None
    enabled: bool = True
    tags: list[str] = field(default_factory=list)
    options: Options = field(default_factory=dict)


class NewProject(Body):
    name: Name64
    description: str | None = None
    domain_id: str | None = None  # None: the caller's
    enabled: bool = True
    is_domain: Literal[False] = False
    parent_id: str | None = None
    tags: list[Name255] = field(default_factory=list)
    options: Options = field(default_factory=dict)


class NewUser(Body):
    name: Name255
    password: str | None = None
    domain_id: str | None = None  # None: the caller's
    enabled: bool = True
    email: str | None = None
    description: str | None = None
    default_project_id: str | None = None
    project_id: Name64 | None = None  # kept and shown, without a meaning
    options: Options = field(default_factory=dict)


class NewGroup(Body):
    name: Name64
    domain_id: str | None = None  # None: the caller's
    description: str | None = None
    project_id: Name64 | None = None  # as a user's


class NewRole(Body):
    name: Name64
    description: str | None = None
    domain_id: None = None
    options: Options = field(default_factory=dict)


class ChangedDomain(Body):
    name: Name64 | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET
    options: Options | UnsetType = UNSET


class ChangedProject(Body):
    name: Name64 | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    domain_id: str | UnsetType = UNSET
    is_domain: bool | UnsetType = UNSET
    parent_id: str | UnsetType | None = UNSET
    tags: list[Name255] | UnsetType = UNSET
    options: Options | UnsetType = UNSET


class ChangedUser(Body):
    id: str | UnsetType = UNSET  # may be said, not changed
    name: Name255 | UnsetType = UNSET
    password: str | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    domain_id: str | UnsetType = UNSET
    email: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    default_project_id: str | UnsetType | None = UNSET
    project_id: Name64 | UnsetType | None = UNSET
    options: Options | UnsetType = UNSET


class ChangedGroup(Body):
    name: Name64 | UnsetType = UNSET
    domain_id: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    project_id: Name64 | UnsetType | None = UNSET


class ChangedRole(Body):
    name: Name64 | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    options: Options | UnsetType = UNSET


class OwnPassword(Body):
    password: Annotated[str, msgspec.Meta(min_length=1)]
    original_password: str


class OwnPasswordBody(Body):
    user: OwnPassword
