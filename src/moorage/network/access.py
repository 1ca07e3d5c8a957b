"""Who may see and change what of the network's things."""

from moorage.domain.caller import Caller
from moorage.domain.errors import Forbidden
from moorage.domain.ids import ProjectId


def seen_by(caller: Caller) -> ProjectId | None:
    """The project whose things the caller sees; None for services and admins, who see all."""
    return None if caller.is_service else caller.require_project()


def owner_of_new(caller: Caller, named: str | None) -> ProjectId:
    """The project that something new belongs to. Raises Forbidden for one that is not the caller's."""
    if named is None or named == caller.project:
        return caller.require_project()
    if not caller.is_service:
        raise Forbidden("The project is not the one that the token is for.", kind="PolicyNotAuthorized")
    return ProjectId(named)


def require_owner(caller: Caller, project: ProjectId, act: str) -> None:
    """Raises Forbidden unless the thing is the caller's own (a shared one may be seen, not changed)."""
    if not (caller.is_service or caller.project == project):
        raise Forbidden(f"Policy doesn't allow {act} to be performed.", kind="PolicyNotAuthorized")
