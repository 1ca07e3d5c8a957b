"""Who makes a request: what a verified token says."""

from dataclasses import dataclass

from moorage.domain.errors import Forbidden
from moorage.domain.ids import ProjectId, UserId


@dataclass(frozen=True)
class Caller:
    """The bearer of a token. `project` is None for unscoped and system-scoped tokens."""

    user: UserId
    project: ProjectId | None
    roles: frozenset[str]
    user_name: str = ""
    project_name: str = ""
    domain: str = "default"
    is_system: bool = False

    @property
    def is_admin(self) -> bool:
        return "admin" in self.roles

    @property
    def is_service(self) -> bool:
        """Whether the caller may use what services use among themselves: external events, bindings."""
        return bool(self.roles & {"admin", "service"})

    def require_admin(self, act: str) -> None:
        """Raises Forbidden unless the caller is an admin."""
        if not self.is_admin:
            raise Forbidden(f"Policy doesn't allow {act} to be performed.")

    def require_service(self, act: str) -> None:
        """Raises Forbidden unless the caller has the role service or admin."""
        if not self.is_service:
            raise Forbidden(f"Policy doesn't allow {act} to be performed.")

    def require_project(self) -> ProjectId:
        """The project that the token is scoped to. Raises Forbidden when there is none."""
        if self.project is None:
            raise Forbidden("This needs a token that is scoped to a project.")
        return self.project


def works_for_another(caller: object) -> bool:
    """Whether the caller is a service: what it asks is a part of somebody else's request."""
    return isinstance(caller, Caller) and "service" in caller.roles
